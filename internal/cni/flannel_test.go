// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"os"
	"path/filepath"
	"testing"
)

// TestDelegateGetsWhatFlannelsPluginGives compares with recordings of flannel's
// plugin, byte for byte.
func TestDelegateGetsWhatFlannelsPluginGives(t *testing.T) {
	cases, err := filepath.Glob("testdata/flannel/*/conf.json")
	if err != nil || len(cases) < 15 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, file := range cases {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			conf, env, want := content(t, file), content(t, filepath.Join(dir, "subnet.env")), content(t, filepath.Join(dir, "delegate.json"))
			c, err := parse(conf)
			if err != nil {
				t.Fatal(err)
			}
			s, err := parseSubnets(env)
			if err != nil {
				t.Fatal(err)
			}
			delegated, err := c.delegated(s)
			if err != nil {
				t.Fatal(err)
			}
			got, err := encode(delegated)
			if err != nil || string(got) != string(want) {
				t.Errorf("%v\n got %s\nwant %s", err, got, want)
			}
		})
	}
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
