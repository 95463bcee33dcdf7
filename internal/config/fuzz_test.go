// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// What is accepted is usable as it stands and prints as what it was read from.
func FuzzParseStaticPeer(f *testing.F) {
	for _, seed := range []string{"10.244.9.0/24=192.168.1.9:8285", "10.244.9.0/24", "=", "10.0.0.0/8=10.1.1.1:1", "::/0=[::1]:1", "10.244.9.0/24=1.2.3.4:0", "010.1.1.0/24=1.2.3.4:5",
		"10.244.9.0/24=host-gw:192.168.1.9", "10.244.9.0/24=ipip:192.168.1.9", "10.244.9.0/24=vxlan:192.168.1.9/0e:5d:7b:a1:02:33",
		"10.244.9.0/24=vxlan:192.168.1.9:8472/0e-5d-7b-a1-02-33", "10.244.9.0/24=vxlan:1.2.3.4:0/02:00:00:00:00:01", "10.244.9.0/24=vxlan:1.2.3.4/01:00:5e:00:00:01",
		"10.244.9.0/24=udp:1.2.3.4:5", "10.244.9.0/24=ipip:[1.2.3.4]", "10.244.9.0/24=host-gw:1.2.3.4:5", "10.244.9.0/24=vxlan:/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseStaticPeer(text)
		if err != nil {
			return
		}
		again, err := ParseStaticPeer(p.String())
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%q: %v, printed and read again %v (%v)", text, p, again, err)
		}
		if p.Subnet != p.Subnet.Masked() || !p.Endpoint.Addr().Is4() || p.Subnet.Contains(p.Endpoint.Addr()) ||
			p.Path == PathUDP && p.Endpoint.Port() == 0 || (p.Path == PathVXLAN) != (len(p.MAC) == 6) {
			t.Errorf("%q: accepted %v", text, p)
		}
	})
}

// An accepted list has no path twice, and prints as what it was read from.
func FuzzParseBackend(f *testing.F) {
	for _, seed := range []string{"udp", "auto", "host-gw", "vxlan,ipip", "host-gw, udp", "", ",", "direct", "vxlan,vxlan", "auto,udp", "wireguard"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseBackend(text)
		if err != nil {
			return
		}
		again, err := ParseBackend(list.String())
		if err != nil || !reflect.DeepEqual(again, list) || len(list) == 0 || len(list) > len(Paths()) || len(list) > 1 && !slices.Contains(list, PathUDP) {
			t.Errorf("%q: %v, printed and read again %v (%v)", text, list, again, err)
		}
	})
}

// An accepted seed has a host part that is an IPv4 address or a plain name.
func FuzzCheckSeed(f *testing.F) {
	for _, seed := range []string{"host1", "host1:8286", "192.0.2.1:1", "[::1]:8", "a..b", "-a", "1.2.3", "%", "a:0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if CheckSeed(text) != nil {
			return
		}
		for _, b := range []byte(text) {
			if b <= ' ' || b >= 0x7f || b == '/' || b == '%' {
				t.Errorf("%q accepted", text)
			}
		}
		if a, err := netip.ParseAddr(text); err == nil && !a.Is4() {
			t.Errorf("%q accepted", text)
		}
	})
}

// An accepted source prints as what it was read from, and is on one line.
func FuzzParseSource(f *testing.F) {
	for _, seed := range []string{"srv:example.org", "srv:_a._tcp.example.org", "exec:a,b | c", "exec: x", "srv", "exec:", "host1", "host1:1", "exec:a\nb"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, found, err := parseSource(text)
		if err != nil || !found {
			return
		}
		again, found, err := parseSource(s.String())
		if err != nil || !found || again != s || strings.ContainsAny(s.Argument, "\n\r\x00") {
			t.Errorf("%q: %q, printed and read again %q (%v)", text, s, again, err)
		}
	})
}
