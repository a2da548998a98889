// Command writing runs the setters of Flux's image-automation-controller on a folder.
// Usage: writing FOLDER NAME=IMAGE:TAG[@DIGEST]... ; the policies live in the namespace flux.
//
// It is built inside that module, whose internal package it calls.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	reflectorv1 "github.com/fluxcd/image-reflector-controller/api/v1"

	"github.com/fluxcd/image-automation-controller/internal/update"
)

func policy(argument string) reflectorv1.ImagePolicy {
	name, ref, _ := strings.Cut(argument, "=")
	ref, digest, _ := strings.Cut(ref, "@")
	cut := strings.LastIndex(ref, ":")
	latest := &reflectorv1.ImageRef{Name: ref[:cut], Tag: ref[cut+1:], Digest: digest}
	return reflectorv1.ImagePolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "flux", Name: name},
		Status:     reflectorv1.ImagePolicyStatus{LatestRef: latest},
	}
}

func main() {
	policies := []reflectorv1.ImagePolicy{}
	for _, argument := range os.Args[2:] {
		policies = append(policies, policy(argument))
	}
	if _, err := update.UpdateWithSetters(logr.Discard(), os.Args[1], os.Args[1], policies); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
