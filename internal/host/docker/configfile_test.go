// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flanneld/internal/host"
)

func TestAConfigFileOfAnotherLeaseIsAProblem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "daemon.json")
	c := NewConfigFile(path)
	problems := func() []string {
		t.Helper()
		changes, err := c.Ensure(t.Context())
		wrong, checkErr := c.Check(t.Context())
		var texts []string
		for _, p := range host.Problems(err) {
			texts = append(texts, p.Text)
			if !strings.Contains(p.Advice, "docker-opts --json") || !strings.Contains(p.Advice, path) {
				t.Errorf("advice: %q", p.Advice)
			}
		}
		if changes != nil || checkErr != nil || strings.Join(texts, "|") != strings.Join(wrong, "|") {
			t.Errorf("changes %q, Ensure %q, Check %q, %v", changes, texts, wrong, checkErr)
		}
		return texts
	}
	c.Want(network, lease, 1472)
	if got := problems(); got != nil {
		t.Errorf("without a file: %q", got)
	}
	if err := os.WriteFile(path, []byte(`{"default-address-pools":[{"base":"10.244.9.128/25","size":27}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := problems(); len(got) != 1 || !strings.HasPrefix(got[0], path+": default-address-pools has 10.244.9.128/25") {
		t.Errorf("got %q", got)
	}
	c.Want(network, netip.MustParsePrefix("10.244.9.0/24"), 1472)
	if got := problems(); got != nil {
		t.Errorf("of this lease: %q", got)
	}
	c.Want(netip.Prefix{}, netip.Prefix{}, 0)
	if got := problems(); got != nil {
		t.Errorf("without a lease: %q", got)
	}
}
