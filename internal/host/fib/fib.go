// SPDX-License-Identifier: Apache-2.0

// Package fib asks the kernel where it sends packets of the overlay network,
// and finds what is in their way.
//
// Which route a packet takes is decided by rules, tables and the longest prefix
// together, and by every program that changes them. So nothing here computes a
// decision: it asks the kernel (RTM_GETROUTE, rtnetlink(7)), from this host
// and as for packets that a bridge forwards. The lists of routes and rules only
// say for which addresses it is worth asking. Addresses of one prefix that no
// list divides all have the same answer.
package fib

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// ErrPlatform is the error of all functions on systems other than Linux.
var ErrPlatform = errors.New("fib: the kernel's routes are read on Linux only")

// Origin is where packets come from when the kernel decides about them.
type Origin struct {
	// Device is the bridge that they are forwarded from; "" for this host's
	// own.
	Device string
	// Source is their source address; zero where the kernel is to choose it.
	Source netip.Addr
	// Mark is their firewall mark; 0: none.
	Mark uint32
}

// String is "host" or the bridge's name, with the mark if there is one.
func (o Origin) String() string {
	name := o.Device
	if name == "" {
		name = "host"
	}
	if o.Mark != 0 {
		name += fmt.Sprintf(" with mark %#x", o.Mark)
	}
	return name
}

// Answer is the kernel's decision about one address.
type Answer struct {
	Device string       // where packets leave, "eth0, eth1" for several; "": nowhere
	Prefix netip.Prefix // of the route that decided; zero where the kernel does not say
	Table  int          // of that route; 0 where the kernel does not say
	// KernelPath: that route is flanneld's own, to a single peer. Packets are
	// to go that way.
	KernelPath bool
	Text       string // in words
}

// Divider is something that can give a part of the network another way: a
// route, or a rule for destinations.
type Divider struct {
	Prefix netip.Prefix
	Text   string // as `ip route` or `ip rule` would show it
	Remove string // the command that takes it away
}

// Host is what divides the network on this host, from one reading of its lists.
type Host struct {
	Dividers []Divider
	// KernelPaths are what flanneld's own routes to single peers lead to. They
	// come and go, and divide nothing that is asked about.
	KernelPaths []netip.Prefix
	Marks       []uint32 // that rules ask for
	// Signature is equal for two readings that would lead to the same answers.
	Signature string
}

// Detour is a part of the network that does not leave by the overlay device.
type Detour struct {
	Prefix netip.Prefix // addresses that it is about, at most
	From   []Origin
	Answer
	Remove string // the command that takes it away; "" where none is known
}

// question is an address to ask for on behalf of a prefix.
type question struct {
	prefix  netip.Prefix
	address netip.Addr
	divider *Divider // nil: the rest of the network
}

// questions returns what to ask to find every way that packets of the network
// go. There is one question for each divider, at an address that no divider
// inside it has, and one for the rest of the network. ours is left out: what is
// in our own lease is routed by this host. Where there is a choice, an address
// is not that of a kernel path.
func questions(network netip.Prefix, h Host, ours netip.Prefix) []question {
	dividers := h.Dividers
	inside := slices.DeleteFunc(slices.Clone(dividers), func(d Divider) bool {
		return !d.Prefix.Overlaps(network) || ours.IsValid() && ours.Overlaps(d.Prefix) && ours.Bits() <= d.Prefix.Bits()
	})
	slices.SortStableFunc(inside, func(a, b Divider) int { return cmp.Compare(b.Prefix.Bits(), a.Prefix.Bits()) })
	taken := []netip.Prefix{}
	if ours.IsValid() {
		taken = append(taken, ours)
	}
	var all []question
	asked := map[netip.Prefix]bool{}
	for i := range inside {
		d := &inside[i]
		part := d.Prefix
		if part.Bits() < network.Bits() {
			part = network // a shorter prefix contains the network
		}
		if asked[part] {
			continue
		}
		asked[part] = true
		if a, ok := choose(part, taken, h.KernelPaths); ok {
			all = append(all, question{prefix: part, address: a, divider: d})
		}
		taken = append(taken, part)
	}
	if !asked[network] {
		if a, ok := choose(network, taken, h.KernelPaths); ok {
			all = append(all, question{prefix: network, address: a})
		}
	}
	return all
}

// choose finds an address that neither taken prefixes nor longer kernel paths
// have, or else one that no taken prefix has.
func choose(prefix netip.Prefix, taken, paths []netip.Prefix) (netip.Addr, bool) {
	avoid := slices.Clone(taken)
	for _, p := range paths {
		if p.Bits() >= prefix.Bits() && prefix.Contains(p.Addr()) {
			avoid = append(avoid, p)
		}
	}
	if a, ok := free(prefix, avoid); ok {
		return a, true
	}
	return free(prefix, taken)
}

// free finds an address of a prefix that no taken one has. It skips the first
// address where it can, which is often a device's own.
func free(prefix netip.Prefix, taken []netip.Prefix) (netip.Addr, bool) {
	a := prefix.Addr()
	if prefix.Bits() < 31 {
		a = a.Next()
	}
	for prefix.Contains(a) {
		i := slices.IndexFunc(taken, func(t netip.Prefix) bool { return t.Contains(a) })
		if i < 0 {
			return a, true
		}
		if a = Last(taken[i]).Next(); !a.IsValid() {
			break
		}
	}
	return netip.Addr{}, false
}

// Last is the last address of an IPv4 prefix.
func Last(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}
