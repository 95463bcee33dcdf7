// SPDX-License-Identifier: Apache-2.0

//go:build e2e && containers

package containers

import (
	"strings"
	"testing"

	"flanneld/test/lab"
)

func init() { preparations = append(preparations, lab.FetchNerdctl) }

// TestNerdctl uses the example for CNI by its name. nerdctl makes no network
// over the lease itself, because flannel0 has an address in it.
func TestNerdctl(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := pair(l)
	d1, d2 := h1.StartContainerd(example(t)), h2.StartContainerd(example(t))
	t.Logf("%s\n%s", d1.Nerdctl("version"), d1.Nerdctl("network", "ls"))
	if r := d1.TryNerdctl("network", "create", "--subnet", h1.Lease().String(), "own"); r.Status == 0 || !strings.Contains(r.Stderr, "overlaps") {
		t.Errorf("nerdctl makes a network over the lease itself: %+v", r)
	}
	a, b := d1.RunNerdctl("one", "--network", "flanneld"), d2.RunNerdctl("two", "--network", "flanneld", "--publish", "8080:80")
	reached(t, a, b)
	h1.Daemon.Stop()
	c := d1.RunNerdctl("three", "--network", "flanneld")
	h1.Start().WaitReady(ready)
	ownAddresses(t, c, b)
	d1.Nerdctl("rm", "--force", "one")
	reserving := h1.CNI(example(t))
	lab.Eventually(t, ready, "the address to be free", func() error {
		reserved := reserving.Reserved()
		return lab.Expect(len(reserved) == 1 && reserved[0] == c.Addr, "reserved: %v, want %v", reserved, c.Addr)
	})
}
