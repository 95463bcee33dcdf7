// SPDX-License-Identifier: Apache-2.0

package link

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// kernel does the steps of a plan as the kernel would, on a state.
type kernel struct {
	t *rapid.T
	s state
}

func (k *kernel) do(c Config, s step) {
	same := func(r route) bool { return r.dst == s.route.dst && r.metric == s.route.metric }
	switch s.do {
	case setName: // before Linux 6.2 of a device that is down
		k.s.renamed, k.s.up, k.s.routes = "", false, nil
	case setIP6None:
		k.s.ip6auto = false
	case setAlias:
		k.s.alias = c.Alias
	case setMTU:
		k.s.mtu = c.MTU
	case setTxQueue:
		k.s.txQueue = c.TxQueueLen
	case setUp:
		k.s.up = true
	case addAddr:
		k.s.addrs = append(k.s.addrs, s.addr)
	case delAddr:
		k.s.addrs = slices.DeleteFunc(k.s.addrs, func(a netip.Prefix) bool { return a == s.addr })
		if !k.has(s.addr.Addr()) { // as long as it is local, its routes stay
			k.s.routes = slices.DeleteFunc(k.s.routes, func(r route) bool { return r.src == s.addr.Addr() })
		}
	case addRoute:
		if slices.ContainsFunc(k.s.routes, same) {
			k.t.Fatalf("%s: file exists", s.text)
		}
		k.addRoute(s)
	case replaceRoute:
		k.s.routes = slices.DeleteFunc(k.s.routes, same)
		k.addRoute(s)
	case delRoute:
		if !slices.Contains(k.s.routes, s.route) {
			k.t.Fatalf("%s: no such process", s.text)
		}
		k.s.routes = slices.DeleteFunc(k.s.routes, func(r route) bool { return r == s.route })
	}
}

func (k *kernel) has(addr netip.Addr) bool {
	return slices.ContainsFunc(k.s.addrs, func(a netip.Prefix) bool { return a.Addr() == addr })
}

func (k *kernel) addRoute(s step) {
	if !k.s.up {
		k.t.Fatalf("%s: network is down", s.text)
	}
	if !k.has(s.route.src) {
		k.t.Fatalf("%s: the device has no address %s", s.text, s.route.src)
	}
	k.s.routes = append(k.s.routes, s.route)
}

// drawState makes a device as other programs, or a daemon of old, may have left
// it.
func drawState(t *rapid.T, c Config) state {
	s := state{
		isTUN: true, kind: "tun", alias: rapid.SampledFrom([]string{c.Alias, "flanneld"}).Draw(t, "alias"),
		renamed: rapid.SampledFrom([]string{"", "other0"}).Draw(t, "renamed"),
		up:      rapid.Bool().Draw(t, "up"), ip6auto: rapid.Bool().Draw(t, "ip6"),
		mtu: rapid.SampledFrom([]int{c.MTU, 1500}).Draw(t, "mtu"), txQueue: rapid.SampledFrom([]int{500, 1000}).Draw(t, "queue"),
	}
	for _, a := range []string{"10.244.7.0/32", "10.244.7.0/24", "10.244.9.0/32", "10.99.1.0/32", "fd00::1/64"} {
		if rapid.Bool().Draw(t, a) {
			s.addrs = append(s.addrs, netip.MustParsePrefix(a))
		}
	}
	if !s.up {
		return s
	}
	sources := []netip.Addr{{}}
	for _, a := range s.addrs {
		if a.Addr().Is4() {
			sources = append(sources, a.Addr())
		}
	}
	for _, dst := range []string{"10.244.0.0/16", "10.99.0.0/16", "10.50.0.0/16"} {
		for _, metric := range []int{0, 100} {
			if rapid.Bool().Draw(t, "route") {
				s.routes = append(s.routes, route{
					dst: netip.MustParsePrefix(dst), metric: metric, scope: rapid.SampledFrom([]int{scopeUniverse, scopeLink}).Draw(t, "scope"),
					src: rapid.SampledFrom(sources).Draw(t, "source"), protocol: rapid.SampledFrom([]int{2, 3, protocolStatic}).Draw(t, "protocol"),
				})
			}
		}
	}
	return s
}

// Whatever the device was like: the kernel takes each step, a second plan is
// empty, no packet finds the network unrouted on the way, and what belongs to
// the operator stays.
func TestPlanLeadsThereFromAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := testConfig()
		c.TxQueueLen = rapid.SampledFrom([]int{0, 1000}).Draw(t, "wanted queue")
		before := drawState(t, c)
		k := kernel{t: t, s: before}
		k.s.addrs, k.s.routes = slices.Clone(before.addrs), slices.Clone(before.routes)
		routed := func() bool {
			return slices.ContainsFunc(k.s.routes, func(r route) bool { return r.dst == c.Network })
		}
		steps := plan(before, c)
		was := false
		for _, step := range steps {
			k.do(c, step)
			if step.text == "" {
				t.Fatalf("a step without a text: %+v", step)
			}
			if was && !routed() {
				t.Fatalf("%q leaves the network unrouted: %q", step.text, texts(steps))
			}
			was = routed()
		}
		if rest := plan(k.s, c); len(rest) > 0 {
			t.Fatalf("after %q there is still to do: %q", texts(steps), texts(rest))
		}
		for _, a := range before.addrs {
			if a.Addr().Is6() && !slices.Contains(k.s.addrs, a) {
				t.Fatalf("the operator's address %s is gone", a)
			}
		}
		for _, r := range before.routes {
			kept := !r.src.IsValid() || r.src == c.Addr
			if foreign := r.protocol != protocolStatic && r.dst != c.Network; foreign && kept && before.renamed == "" && !slices.Contains(k.s.routes, r) {
				t.Fatalf("the operator's route to %s is gone", r.dst)
			}
		}
	})
}
