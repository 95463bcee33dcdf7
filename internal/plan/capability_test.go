// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"strings"
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
		{peers.Capability{Number: 1, Param: []byte{0}}, "no udp"},
		{peers.Capability{Number: 2}, "direct"},
		{peers.Capability{Number: 3, Param: []byte{0x21, 0x18, 0, 0, 1}}, "vxlan/8472/1"},
		{peers.Capability{Number: 3, Param: []byte{0x12, 0xb5, 0xff, 0xff, 0xff, 9}}, "vxlan/4789/16777215"},
		{peers.Capability{Number: 3, Param: []byte{0x21, 0x18, 0, 0}}, "3/21180000"},
		{peers.Capability{Number: 4, Param: []byte{7}}, "ipip"},
		{AnnouncedShortcut(), "short-cut/1"},
		{peers.Capability{Number: 5}, "5"},
		{peers.Capability{Number: 77}, "77"},
		{peers.Capability{Number: 77, Param: []byte{0x0a, 0xff}}, "77/0aff"},
	} {
		if got := CapabilityName(c.capability); got != c.want {
			t.Errorf("%+v is called %q, want %q", c.capability, got, c.want)
		}
	}
}

// A node announces what its backend list has and its host can do, in one order.
func TestANodeAnnouncesItsPaths(t *testing.T) {
	without := func(lacking ...Path) func(Path) string {
		return func(p Path) string {
			if slices.Contains(lacking, p) {
				return "not here"
			}
			return ""
		}
	}
	for _, c := range []struct {
		backend     []Path
		unavailable func(Path) string
		want        string
	}{
		{nil, nil, "udp/1"},
		{[]Path{PathUDP}, nil, "udp/1"},
		{[]Path{PathIPIP, PathVXLAN, PathDirect, PathUDP}, nil, "udp/1 direct vxlan/4789/77 ipip"},
		{[]Path{PathDirect, PathVXLAN, PathUDP}, without(PathDirect), "udp/1 vxlan/4789/77"},
		{[]Path{PathVXLAN}, without(), "no udp vxlan/4789/77"},
		{[]Path{PathIPIP}, without(PathIPIP), "no udp"},
	} {
		var got []string
		for _, one := range Announced(c.backend, 4789, 77, c.unavailable) {
			got = append(got, CapabilityName(one))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v: announces %v, want %s", c.backend, got, c.want)
		}
	}
}

// Whatever another node announces, it has a name and is either a path or none.
func FuzzCapability(f *testing.F) {
	for _, c := range Announced(everything, 8472, 1, nil) {
		f.Add(c.Number, c.Param)
	}
	f.Add(uint16(3), []byte{0, 0, 0, 0, 1})
	f.Add(uint16(1), []byte{0, 1})
	f.Add(uint16(capShortcut), []byte{shortcutVersion})
	f.Fuzz(func(t *testing.T, number uint16, param []byte) {
		c := peers.Capability{Number: number, Param: param}
		if CapabilityName(c) == "" {
			t.Errorf("%+v has no name", c)
		}
		n := plantest.Node("b", peers.Alive, 2)
		n.Caps = []peers.Capability{c}
		r := routeTo(t, n, func(in *Input) { in.Backend = everything })
		if at, ok := readVXLAN(param); (r.Path == PathVXLAN) != (number == capVXLAN && ok && at.vni == 1) || ok && at.vni > 1<<24-1 {
			t.Errorf("%+v: by %s to %+v", c, r.Path, at)
		}
	})
}

// The user path reaches a node that does not announce that it takes none.
func TestEveryNodeIsReachedByTheUserPath(t *testing.T) {
	for name, caps := range map[string][]peers.Capability{
		"nothing": nil, "this program's": Announced(everything, 8472, 1, nil), "a later version": {{Number: 1, Param: []byte{9}}},
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
