// SPDX-License-Identifier: Apache-2.0

package fib

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
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
		var paths []netip.Prefix
		for range rapid.IntRange(0, 12).Draw(t, "kernel paths") {
			paths = append(paths, drawPrefix(t))
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
		for _, q := range questions(network, Host{Dividers: dividers, KernelPaths: paths}, ours) {
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

// The question for a part is asked where only that part can answer.
func TestQuestionsAreAskedOnlyWhereNoOtherPartAnswers(t *testing.T) {
	ours := prefix("10.244.7.0/24")
	for name, c := range map[string]struct {
		ours     netip.Prefix
		dividers []string
		want     string // PREFIX@ADDRESS, in order
	}{
		"nothing divides":         {ours, nil, "10.244.0.0/16@10.244.0.1"},
		"no lease yet":            {netip.Prefix{}, nil, "10.244.0.0/16@10.244.0.1"},
		"outside the network":     {ours, []string{"192.0.2.0/24"}, "10.244.0.0/16@10.244.0.1"},
		"in our own lease":        {ours, []string{"10.244.7.0/24", "10.244.7.9/32"}, "10.244.0.0/16@10.244.0.1"},
		"around our own lease":    {ours, []string{"10.244.6.0/23"}, "10.244.6.0/23@10.244.6.1 10.244.0.0/16@10.244.0.1"},
		"the same part twice":     {ours, []string{"10.244.9.0/24", "10.244.9.0/24"}, "10.244.9.0/24@10.244.9.1 10.244.0.0/16@10.244.0.1"},
		"the first of a part":     {ours, []string{"10.244.0.0/24"}, "10.244.0.0/24@10.244.0.1 10.244.0.0/16@10.244.1.0"},
		"a single address":        {ours, []string{"10.244.0.1/32"}, "10.244.0.1/32@10.244.0.1 10.244.0.0/16@10.244.0.2"},
		"two addresses":           {ours, []string{"10.244.0.0/31"}, "10.244.0.0/31@10.244.0.0 10.244.0.0/16@10.244.0.2"},
		"the whole network":       {ours, []string{"10.244.0.0/16"}, "10.244.0.0/16@10.244.0.1"},
		"more than the network":   {ours, []string{"10.0.0.0/8"}, "10.244.0.0/16@10.244.0.1"},
		"halves cover the whole":  {ours, []string{"10.244.0.0/17", "10.244.128.0/17"}, "10.244.0.0/17@10.244.0.1 10.244.128.0/17@10.244.128.1"},
		"a part covered by parts": {ours, []string{"10.244.8.0/23", "10.244.8.0/24", "10.244.9.0/24"}, "10.244.8.0/24@10.244.8.1 10.244.9.0/24@10.244.9.1 10.244.0.0/16@10.244.0.1"},
		"the network is ours":     {network, []string{"10.244.9.0/24"}, ""},
	} {
		var dividers []Divider
		for _, p := range c.dividers {
			dividers = append(dividers, Divider{Prefix: prefix(p), Text: fmt.Sprint(len(dividers))})
		}
		var got []string
		for _, q := range questions(network, Host{Dividers: dividers}, c.ours) {
			got = append(got, fmt.Sprintf("%s@%s", q.prefix, q.address))
			if q.divider != nil && q.divider.Text != fmt.Sprint(slices.IndexFunc(dividers, func(d Divider) bool { return d.Prefix == q.divider.Prefix })) {
				t.Errorf("%s: %s is asked about for the divider %+v", name, q.prefix, *q.divider)
			}
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: got %s, want %s", name, text, c.want)
		}
	}
}

func TestAddressSpaceEndsWithoutAFreeAddress(t *testing.T) {
	if a, ok := free(prefix("255.255.255.254/31"), []netip.Prefix{prefix("255.255.255.254/31")}); ok {
		t.Errorf("got %s", a)
	}
	if a, ok := free(prefix("255.255.255.254/31"), []netip.Prefix{prefix("255.255.255.254/32")}); !ok || a.String() != "255.255.255.255" {
		t.Errorf("got %s, %t", a, ok)
	}
}

func TestLastAddressOfAPrefix(t *testing.T) {
	for p, want := range map[string]string{
		"0.0.0.0/0": "255.255.255.255", "10.244.7.9/32": "10.244.7.9", "10.244.7.9/24": "10.244.7.255",
		"10.244.0.0/16": "10.244.255.255", "10.244.7.8/31": "10.244.7.9", "10.244.0.0/15": "10.245.255.255",
	} {
		if got := Last(prefix(p)); got.String() != want {
			t.Errorf("%s ends at %s, want %s", p, got, want)
		}
	}
}

// What is said about a wider detour says nothing about a part that goes another
// way, or goes so for other origins.
func TestDetoursThatDifferAreKept(t *testing.T) {
	host, pod := Origin{}, Origin{Device: "docker0", Source: netip.MustParseAddr("10.244.7.2")}
	wide := Detour{Prefix: prefix("10.244.8.0/23"), From: []Origin{host}, Answer: Answer{Device: "eth1", Text: "dev eth1"}}
	for name, c := range map[string]struct {
		other Detour
		kept  bool
	}{
		"another device":      {Detour{Prefix: prefix("10.244.9.0/24"), From: []Origin{host}, Answer: Answer{Device: "eth2", Text: "dev eth2"}}, true},
		"nowhere":             {Detour{Prefix: prefix("10.244.9.0/24"), From: []Origin{host}, Answer: Answer{Text: "no route"}}, true},
		"another origin":      {Detour{Prefix: prefix("10.244.9.0/24"), From: []Origin{pod}, Answer: Answer{Device: "eth1", Text: "dev eth1"}}, true},
		"another mark":        {Detour{Prefix: prefix("10.244.9.0/24"), From: []Origin{{Mark: 1}}, Answer: Answer{Device: "eth1", Text: "dev eth1"}}, true},
		"beside it":           {Detour{Prefix: prefix("10.244.10.0/24"), From: []Origin{host}, Answer: Answer{Device: "eth1", Text: "dev eth1"}}, true},
		"the same, otherwise": {Detour{Prefix: prefix("10.244.8.0/23"), From: []Origin{host}, Answer: Answer{Device: "eth1", Text: "via 192.0.2.1"}}, true},
		"inside it":           {Detour{Prefix: prefix("10.244.9.0/24"), From: []Origin{host}, Answer: Answer{Device: "eth1", Text: "via 192.0.2.1"}}, false},
	} {
		for _, order := range [][]Detour{{wide, c.other}, {c.other, wide}} {
			if got := merge(order); len(got) == 2 != c.kept {
				t.Errorf("%s: got %+v", name, got)
			}
		}
	}
	if got := merge(nil); len(got) != 0 {
		t.Errorf("of nothing: %+v", got)
	}
}

func TestOriginsHaveNames(t *testing.T) {
	for want, o := range map[string]Origin{"host": {}, "docker0": {Device: "docker0"}, "host with mark 0xca6c": {Mark: 51820}} {
		if got := o.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// An address that a kernel path has says nothing about the rest of a part.
func TestQuestionsAvoidKernelPaths(t *testing.T) {
	h := Host{
		Dividers:    []Divider{{Prefix: prefix("10.244.8.0/23")}, {Prefix: prefix("10.244.9.0/24")}, {Prefix: prefix("10.244.12.0/25")}},
		KernelPaths: []netip.Prefix{prefix("10.244.0.0/24"), prefix("10.244.8.0/25"), prefix("10.244.9.0/24"), prefix("10.244.12.0/24")},
	}
	want := map[string]string{
		"10.244.8.0/23": "10.244.8.128", "10.244.9.0/24": "10.244.9.1", // another table may have a route to all of this path
		"10.244.12.0/25": "10.244.12.1", "10.244.0.0/16": "10.244.1.0",
	}
	for _, q := range questions(network, h, netip.Prefix{}) {
		if got := q.address.String(); want[q.prefix.String()] != got {
			t.Errorf("%s is asked about at %s", q.prefix, got)
		}
	}
}
