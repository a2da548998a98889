// Command choosing answers with Flux's own policies which tag is the latest.
// It reads one JSON object a line, {policy, filterTags, tags}, and writes {tag} or {error} for each.
//
// It is built inside the image-reflector-controller, whose internal package it calls.
package main

import (
	"bufio"
	"encoding/json"
	"os"

	imagev1 "github.com/fluxcd/image-reflector-controller/api/v1"

	"github.com/fluxcd/image-reflector-controller/internal/policy"
)

type question struct {
	Policy     imagev1.ImagePolicyChoice `json:"policy"`
	FilterTags *imagev1.TagFilter        `json:"filterTags"`
	Tags       []string                  `json:"tags"`
}

type answer struct {
	Tag   string `json:"tag,omitempty"`
	Error string `json:"error,omitempty"`
}

// latest does what the controller's applyPolicy does with a list of tags.
func latest(asked question) (string, error) {
	policer, err := policy.PolicerFromSpec(asked.Policy)
	if err != nil {
		return "", err
	}
	if asked.FilterTags == nil {
		return policer.Latest(asked.Tags)
	}
	filter, err := policy.NewRegexFilter(asked.FilterTags.Pattern, asked.FilterTags.Extract)
	if err != nil {
		return "", err
	}
	filter.Apply(asked.Tags)
	tag, err := policer.Latest(filter.Items())
	if err != nil {
		return "", err
	}
	return filter.GetOriginalTag(tag), nil
}

func main() {
	in, out := json.NewDecoder(bufio.NewReader(os.Stdin)), bufio.NewWriter(os.Stdout)
	defer out.Flush()
	encoder := json.NewEncoder(out)
	for in.More() {
		var asked question
		if err := in.Decode(&asked); err != nil {
			panic(err)
		}
		var told answer
		if tag, err := latest(asked); err != nil {
			told.Error = err.Error()
		} else {
			told.Tag = tag
		}
		if err := encoder.Encode(told); err != nil {
			panic(err)
		}
	}
}
