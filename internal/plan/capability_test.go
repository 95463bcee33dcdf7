// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"

	"flanneld/internal/plan/plantest"
	"flanneld/peers"
	"flanneld/route"
)

func TestCapabilitiesHaveNames(t *testing.T) {
	for _, c := range []struct {
		capability peers.Capability
		want       string
	}{
		{peers.Capability{Number: 1, Param: []byte{1}}, "udp/1"},
		{peers.Capability{Number: 1, Param: []byte{3, 9}}, "udp/3"},
		{peers.Capability{Number: 1}, "udp"},
		{peers.Capability{Number: 77}, "77"},
		{peers.Capability{Number: 77, Param: []byte{0x0a, 0xff}}, "77/0aff"},
	} {
		if got := CapabilityName(c.capability); got != c.want {
			t.Errorf("%+v is called %q, want %q", c.capability, got, c.want)
		}
	}
	if announced := Announced(); len(announced) != 1 || CapabilityName(announced[0]) != "udp/1" {
		t.Errorf("announces %+v", announced)
	}
}

// Whatever a node announces, the user path reaches it.
func TestEveryNodeIsReachedByTheUserPath(t *testing.T) {
	for name, caps := range map[string][]peers.Capability{
		"nothing": nil, "this program's": Announced(), "a later version": {{Number: 1, Param: []byte{9}}},
		"what is not known": {{Number: 999, Param: []byte("x")}},
	} {
		n := plantest.Node("b", peers.Alive, 2)
		n.Caps = caps
		p := Make(Input{Snapshot: plantest.Snapshot(peers.Confirmed, n)})
		if r := p.Routes[1]; r.Kind != route.Via || r.Path != PathUDP {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
