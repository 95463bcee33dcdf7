// SPDX-License-Identifier: Apache-2.0

package fib

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

var network = prefix("10.244.0.0/16")

func drawPrefix(t *rapid.T) netip.Prefix {
	bits := rapid.IntRange(8, 32).Draw(t, "bits")
	third, fourth := rapid.Byte().Draw(t, "third"), rapid.Byte().Draw(t, "fourth")
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, third, fourth}), bits).Masked()
}

// For every part with addresses of its own there is a question at one address,
// and one for the rest of the network. No question is asked twice.
func TestEveryPartIsAskedAboutAtAnAddressOfItsOwn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var dividers []Divider
		for range rapid.IntRange(0, 12).Draw(t, "dividers") {
			dividers = append(dividers, Divider{Prefix: drawPrefix(t)})
		}
		ours := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, rapid.Byte().Draw(t, "ours"), 0}), 24)
		// owner is the longest part that has an address: what may answer for
		// it.
		owner := func(a netip.Addr) netip.Prefix {
			best := network
			for _, d := range dividers {
				if d.Prefix.Contains(a) && d.Prefix.Bits() > best.Bits() {
					best = d.Prefix
				}
			}
			return best
		}
		asked := map[netip.Prefix]bool{}
		for _, q := range questions(network, dividers, ours) {
			if asked[q.prefix] {
				t.Fatalf("%s is asked about twice", q.prefix)
			}
			asked[q.prefix] = true
			if ours.Contains(q.address) || !network.Contains(q.address) || owner(q.address) != q.prefix {
				t.Fatalf("%s is asked about at %s, which is of %s (ours: %s)", q.prefix, q.address, owner(q.address), ours)
			}
		}
		for range 20 { // whatever address there is, its part was asked about
			a := netip.AddrFrom4([4]byte{10, 244, rapid.Byte().Draw(t, "c"), rapid.Byte().Draw(t, "d")})
			if part := owner(a); !ours.Contains(a) && !asked[part] {
				t.Fatalf("%s, of %s, was not asked about: %v", a, part, dividers)
			}
		}
	})
}

func TestDetoursOfOneBridgeAreOne(t *testing.T) {
	host, pod := Origin{}, Origin{Device: "docker0"}
	detour := func(p string, from Origin, device string) Detour {
		return Detour{Prefix: prefix(p), From: []Origin{from}, Answer: Answer{Device: device, Text: device + " " + p}}
	}
	got := merge([]Detour{
		detour("10.244.9.1/32", host, "br-1"), detour("10.244.9.1/32", pod, "br-1"),
		detour("10.244.9.255/32", host, "br-1"), detour("10.244.9.255/32", pod, "br-1"),
		detour("10.244.9.0/24", host, "br-1"), detour("10.244.9.0/24", pod, "br-1"),
		detour("10.244.9.128/25", host, "eth1"),
	})
	if len(got) != 2 || got[0].Prefix != prefix("10.244.9.0/24") || !slices.Equal(got[0].From, []Origin{host, pod}) || got[1].Device != "eth1" {
		t.Errorf("got %+v", got)
	}
	if text := (Origin{Device: "docker0", Mark: 16}).String(); text != "docker0 with mark 0x10" {
		t.Error(text)
	}
}
