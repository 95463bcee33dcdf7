// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package containers

import (
	"testing"

	"flanneld/test/lab"
)

// TestCNIContainerd runs containers by containerd's own `ctr run --cni`, with
// the example.
func TestCNIContainerd(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := pair(l)
	d1, d2 := h1.StartContainerd(example(t)), h2.StartContainerd(example(t))
	a, endA := d1.Run("a")
	b, _ := d2.Run("b")
	for _, p := range []*lab.Pod{a, b} {
		if !p.Host.Lease().Contains(p.Addr) {
			t.Fatalf("%v is not in the lease %v", p.Addr, p.Host.Lease())
		}
	}
	ownAddresses(t, a, b)
	a.Reachable(t, lab.OutsideAddress, ready)
	h1.Daemon.Stop()
	c, _ := d1.Run("c")
	h1.Start().WaitReady(ready)
	ownAddresses(t, c, b)
	endA()
	reserved := h1.CNI(example(t)).Reserved()
	if len(reserved) != 1 || reserved[0] != c.Addr {
		t.Errorf("after the end of a container reserved: %v, want %v", reserved, c.Addr)
	}
}
