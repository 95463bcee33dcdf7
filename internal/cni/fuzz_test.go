// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
)

// FuzzNetworkConfiguration: whatever a runtime hands in, there is a
// configuration for the delegate or an error with a code. Of what is kept for
// DEL, the delegate reads the same as for ADD.
func FuzzNetworkConfiguration(f *testing.F) {
	s, err := parseSubnets([]byte(env4))
	if err != nil {
		f.Fatal(err)
	}
	files, _ := filepath.Glob("testdata/flannel/*/conf.json")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"name":"mynet","prevResult":{"ips":[{"gateway":"10.244.7.1"}],"routes":[{"dst":"10.0.0.0/8"}]},"cni.dev/valid-attachments":[{"containerID":"c1"}]}`))
	f.Fuzz(func(t *testing.T, stdin []byte) {
		c, err := parse(stdin)
		if err != nil {
			coded(t, err)
			return
		}
		delegated, err := c.delegated(s)
		if err != nil {
			coded(t, err)
			return
		}
		text, err := encode(delegated)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decode(text, nil)
		if err != nil {
			if delegated["type"] == "" {
				return // no plugin has this name
			}
			t.Fatalf("%v: %s", err, text)
		}
		if leaseIn(again) != "10.244.7.0/24" {
			t.Fatalf("lease %q in %s", leaseIn(again), text)
		}
		if twice, err := json.Marshal(again); err != nil || string(twice) != string(text) {
			t.Fatalf("%v: ADD %s, DEL %s", err, text, twice)
		}
		nameNextHops(c.PrevResult)
		c.isValid(attachmentOf("c1"))
	})
}

// FuzzSubnetFile: no content makes a configuration that leads outside of the
// network.
func FuzzSubnetFile(f *testing.F) {
	files, _ := filepath.Glob("testdata/flannel/*/subnet.env")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := parseSubnets(content)
		if err != nil {
			return
		}
		if len(s.own) == 0 || len(s.networks) == 0 {
			t.Fatalf("no subnets, and no error: %+v", s)
		}
		c := &config{Name: "mynet", Type: "flanneld-cni"}
		delegated, err := c.delegated(s)
		if err != nil {
			t.Fatal(err)
		}
		if leaseIn(delegated) == "" {
			t.Fatalf("no lease in %v", delegated)
		}
		if _, err := encode(delegated); err != nil {
			t.Fatal(err)
		}
	})
}

// coded checks that an error is one for the runtime.
func coded(t *testing.T, err error) {
	t.Helper()
	var failure *types.Error
	if !errors.As(err, &failure) || failure.Code == 0 || failure.Msg == "" {
		t.Fatalf("error without a code: %v", err)
	}
}
