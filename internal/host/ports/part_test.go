// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"errors"
	"net/netip"
	"slices"
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
