// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes

package kubernetes

import (
	"crypto/rand"
	"encoding/base64"
	"os"
	"strings"
	"testing"
)

// What the manifest calls things, and how it names the image.
const (
	manifestFile      = "../../dist/kubernetes/flanneld.yaml"
	flanneldNamespace = "kube-flanneld"
	flanneldAccount   = "flanneld"
	flanneldSecret    = "flanneld-key"
	flanneldSet       = "daemonset/flanneld"
	flanneldLabel     = "app=flanneld"
	manifestImage     = "image: flanneld:latest"
	flanneldImage     = "lab.test/flanneld:1"
)

// applyManifest does what the manifest asks of an operator: it makes the
// cluster key and a Secret, and applies the manifest with the name of the image
// and nothing else changed. It returns the key.
func (c *control) applyManifest(t *testing.T) (key string) {
	t.Helper()
	manifest, err := os.ReadFile(manifestFile)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(manifest), manifestImage, "image: "+flanneldImage)
	if text == string(manifest) {
		t.Fatalf("%s has no %q", manifestFile, manifestImage)
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	key = base64.StdEncoding.EncodeToString(secret)
	c.kubectl("create", "namespace", flanneldNamespace)
	c.kubectl("create", "secret", "generic", "-n", flanneldNamespace, flanneldSecret, "--from-literal=key="+key)
	c.apply(text)
	return key
}
