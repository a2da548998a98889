// The client that Flux uses, go-containerregistry, doing what krmfn does: list each repository, ask for one digest.
//
//	client -workers 8 REPOSITORY...
package main

import (
	"flag"
	"log"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func main() {
	workers := flag.Int("workers", 8, "repositories at once")
	list := flag.Bool("list", false, "list only")
	flag.Parse()
	todo := make(chan string)
	var group sync.WaitGroup
	for range *workers {
		group.Add(1)
		go func() {
			defer group.Done()
			for text := range todo {
				repository, err := name.NewRepository(text, name.Insecure)
				if err != nil {
					log.Fatal(err)
				}
				tags, err := remote.List(repository)
				if err != nil {
					log.Fatal(err)
				}
				if *list {
					continue
				}
				if _, err := remote.Head(repository.Tag(tags[len(tags)-1])); err != nil {
					log.Fatal(err)
				}
			}
		}()
	}
	for _, text := range flag.Args() {
		todo <- text
	}
	close(todo)
	group.Wait()
}
