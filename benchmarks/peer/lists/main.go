// Command lists updates images as Go programs do it: decode the text to nodes, set values, encode all of it.
// Usage: lists kyaml|yaml OLD NEW < list > list, or lists files OLD NEW FILE...
//
// "kyaml" reads and writes with kyaml's kio.ByteReadWriter, which kustomize, kpt functions and Flux use; "yaml" decodes
// and encodes with the go.yaml.in/yaml/v3 below it. "files" rewrites files in place, those alone in which a value
// changes, with the options of Flux's image-automation-controller, and says which it cannot read.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/kyaml/kio"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// set gives every marked scalar its new value and counts them.
func set(node *yaml.Node, older, newer string) int {
	changed := 0
	if node.Kind == yaml.ScalarNode && strings.Contains(node.LineComment, "$imagepolicy") {
		if value := strings.Replace(node.Value, older, newer, 1); value != node.Value {
			node.Value = value
			changed++
		}
	}
	for _, child := range node.Content {
		changed += set(child, older, newer)
	}
	return changed
}

// through sends items through a pipeline that sets the values.
func through(rw *kio.ByteReadWriter, older, newer string) (int, error) {
	changed := 0
	err := kio.Pipeline{
		Inputs: []kio.Reader{rw},
		Filters: []kio.Filter{kio.FilterFunc(func(nodes []*yaml.RNode) ([]*yaml.RNode, error) {
			for _, node := range nodes {
				changed += set(node.YNode(), older, newer)
			}
			return nodes, nil
		})},
		Outputs: []kio.Writer{rw},
	}.Execute()
	return changed, err
}

func throughYAML(older, newer string) (int, error) {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return 0, err
	}
	var document yamlv3.Node
	if err := yamlv3.Unmarshal(text, &document); err != nil {
		return 0, err
	}
	changed := set(&document, older, newer)
	encoder := yamlv3.NewEncoder(os.Stdout)
	encoder.SetIndent(2)
	return changed, encoder.Encode(&document)
}

// rewrite updates one file in place when something in it changes.
func rewrite(name, older, newer string) (int, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	var out bytes.Buffer
	rw := &kio.ByteReadWriter{
		Reader: bytes.NewReader(text), Writer: &out, PreserveSeqIndent: true,
	}
	changed, err := through(rw, older, newer)
	if err != nil || changed == 0 {
		return changed, err
	}
	return changed, os.WriteFile(name, out.Bytes(), 0o644)
}

func run(way, older, newer string, names []string) (int, error) {
	switch way {
	case "kyaml":
		return through(&kio.ByteReadWriter{Reader: os.Stdin, Writer: os.Stdout, KeepReaderAnnotations: true}, older, newer)
	case "yaml":
		return throughYAML(older, newer)
	case "files":
		changed := 0
		for _, name := range names {
			count, err := rewrite(name, older, newer)
			if err != nil {
				fmt.Printf("%s: %s\n", name, strings.SplitN(err.Error(), "\n", 2)[0])
			}
			changed += count
		}
		return changed, nil
	}
	return 0, fmt.Errorf("unknown way %q: expected kyaml, yaml or files", way)
}

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: lists kyaml|yaml|files OLD NEW [FILE...]")
		os.Exit(2)
	}
	changed, err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "%d changed\n", changed)
}
