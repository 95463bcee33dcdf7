// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"testing"
)

// What is accepted is usable as it stands and prints as what it was read from.
func FuzzParseStaticPeer(f *testing.F) {
	for _, seed := range []string{"10.244.9.0/24=192.168.1.9:8285", "10.244.9.0/24", "=", "10.0.0.0/8=10.1.1.1:1", "::/0=[::1]:1", "10.244.9.0/24=1.2.3.4:0", "010.1.1.0/24=1.2.3.4:5"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseStaticPeer(text)
		if err != nil {
			return
		}
		again, err := ParseStaticPeer(p.String())
		if err != nil || again != p {
			t.Errorf("%q: %v, printed and read again %v (%v)", text, p, again, err)
		}
		if p.Subnet != p.Subnet.Masked() || !p.Endpoint.Addr().Is4() || p.Endpoint.Port() == 0 || p.Subnet.Contains(p.Endpoint.Addr()) {
			t.Errorf("%q: accepted %v", text, p)
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
