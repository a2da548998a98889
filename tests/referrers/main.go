// A registry with the referrers API on loopback: `referrers ADDRESS`. Everything is kept in memory.
package main

import (
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: registry.New(registry.WithReferrersSupport(true)), ReadHeaderTimeout: time.Minute}
	log.Fatal(server.Serve(listener))
}
