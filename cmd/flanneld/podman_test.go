// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPodmanNetworkIsPrintedOrWritten(t *testing.T) {
	dir := t.TempDir()
	env := filepath.Join(dir, "subnet.env")
	text := "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.7.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n"
	if err := os.WriteFile(env, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	printed := flanneld(t, nil, "podman", "network", "-f", env)
	if printed.status != 0 || !strings.Contains(printed.out, `"subnet": "10.244.7.0/24"`) || !strings.Contains(printed.out, `"name": "flanneld"`) {
		t.Errorf("got %+v", printed)
	}
	made := filepath.Join(dir, "made", "networks")
	for range 2 {
		if r := flanneld(t, nil, "podman", "network", "-f", env, "-d", made); r != (result{}) {
			t.Errorf("got %+v", r)
		}
	}
	if written, err := os.ReadFile(filepath.Join(made, "flanneld.json")); err != nil || string(written) != printed.out {
		t.Errorf("written %s, %v", written, err)
	}
	if r := flanneld(t, nil, "podman", "network", "../x", "-f", env, "-d", made); r.status != 2 || !strings.Contains(r.err, "only letters") {
		t.Errorf("got %+v", r)
	}
	if r := flanneld(t, nil, "podman", "network", "-f", dir+"/none"); r.status != 1 || !strings.Contains(r.err, "none is not there: flanneld writes it") {
		t.Errorf("got %+v", r)
	}
	if r := flanneld(t, nil, "podman"); r.status != 2 {
		t.Errorf("got %+v", r)
	}
	if r := flanneld(t, nil, "podman", "network", "a", "b"); r.status != 2 {
		t.Errorf("got %+v", r)
	}
}
