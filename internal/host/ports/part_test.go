// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"flanneld/internal/host"
)

func TestPartWaitsForItsMembers(t *testing.T) {
	p, err := NewPart("flannel0", 0)
	if errors.Is(err, ErrPlatform) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Ensure(t.Context()); !errors.Is(err, host.ErrPending) {
		t.Errorf("without members: %v", err)
	}
	if _, underlay := p.Wanted(); underlay != "" {
		t.Errorf("underlay %q", underlay)
	}
	members := []Member{{Addr: netip.MustParseAddr("192.0.2.1"), Data: 8285, Self: true}}
	p.Want(members, "eth-none")
	p.LinksChanged()
	got, underlay := p.Wanted()
	if !slices.Equal(got, members) || underlay != "eth-none" {
		t.Errorf("wanted %+v, %s", got, underlay)
	}
	if c := p.config(); !slices.Contains(c.Underlay, "eth-none") || len(c.Members) != 1 || p.stale {
		t.Errorf("config %+v", c)
	}
	p.gateway = []string{"eth-none", "br-none"}
	if c := p.config(); !slices.Equal(c.Underlay, []string{"eth-none", "br-none"}) {
		t.Errorf("with a gateway: %q", c.Underlay)
	}
	p.Want(members, "")
	p.gateway, p.stale = nil, false
	if c := p.config(); len(c.Underlay) > 0 {
		t.Errorf("without an underlay: %q", c.Underlay)
	}
	if p.Device() != "flannel0" || p.Name() != "ports" || p.Created() {
		t.Errorf("device %s, name %s, created %t", p.Device(), p.Name(), p.Created())
	}
	if _, err := NewPart("a/b", 0); err == nil {
		t.Error("a device with a slash was taken")
	}
}

// The advice names what helps: not the kernel where the members are to blame.
func TestPartSaysWhatIsAtRisk(t *testing.T) {
	p, err := NewPart("flannel0", 0)
	if errors.Is(err, ErrPlatform) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	p.Want([]Member{{Addr: netip.MustParseAddr("fd00::1"), Data: 8285}}, "")
	changes, err := p.Ensure(t.Context())
	problems := host.Problems(err)
	if len(changes) > 0 || len(problems) != 1 {
		t.Fatalf("changes %q, problems %+v, %v", changes, problems, err)
	}
	if got := problems[0]; !strings.Contains(got.Text, "can send into the overlay as this host") || !strings.Contains(got.Text, "fd00::1") ||
		!strings.Contains(got.Advice, "nft list ruleset") {
		t.Errorf("got %+v", got)
	}
}

// The monitor of links and the watcher of members work at the same time. What
// config returns is not changed under its reader.
func TestPartIsUsedByManyAtATime(t *testing.T) {
	p, err := NewPart("flannel0", 0)
	if errors.Is(err, ErrPlatform) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for n := range 50 {
				members := []Member{{Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Data: uint16(n + 1), Self: true}}
				p.Want(members, "eth-none")
				p.LinksChanged()
				p.mu.Lock()
				p.gateway, p.stale = []string{"br-none"}, false
				p.mu.Unlock()
				if c := p.config(); len(c.Members) != 1 || c.Underlay[0] != "eth-none" {
					t.Errorf("config %+v", c)
				}
				if members, underlay := p.Wanted(); len(members) != 1 || underlay != "eth-none" {
					t.Errorf("wanted %+v, %s", members, underlay)
				}
			}
		})
	}
	all.Wait()
	p.gateway, p.stale = []string{"br-none"}, false
	for range 2 { // what was wanted does not grow
		if c := p.config(); !slices.Equal(c.Underlay, []string{"eth-none", "br-none"}) {
			t.Errorf("underlay %q", c.Underlay)
		}
	}
}
