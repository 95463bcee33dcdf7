// SPDX-License-Identifier: Apache-2.0

package link

import (
	"fmt"
	"net/netip"
	"strings"
)

// state is what the device is like.
type state struct {
	renamed  string // its name, where that is not Config.Name
	isTUN    bool
	kind     string // as ip -d link shows it
	alias    string
	up       bool
	mtu      int
	txQueue  int
	ip6auto  bool           // the kernel makes up an IPv6 link-local address
	addrs    []netip.Prefix // IPv4 and IPv6
	routes   []route        // IPv4 in the main table, to this device
	routedBy string         // another device that has Config.Network's route
	earlier  broadcast      // zero: none
}

// broadcast is a route that makes Config.Addr a broadcast address of another
// device. Before Linux 5.14 each subnet of a device makes one to its lowest
// address. The kernel takes the route that came first. If that is not the
// device's own, the kernel answers nothing at Config.Addr, and refuses routes
// that prefer it as the source.
type broadcast struct {
	device string
	index  int
}

// route is one of the device's routes.
type route struct {
	dst      netip.Prefix
	src      netip.Addr // preferred source; zero: none
	scope    int        // RT_SCOPE_*
	protocol int        // RTPROT_*
	metric   int
}

// scopeUniverse is RT_SCOPE_UNIVERSE: the destination is anywhere behind the
// device. dockerd takes the networks of routes of scope link for its host's
// own, and makes no network from an address pool inside them (Docker 23 to 29).
const scopeUniverse = 0

// protocolStatic is RTPROT_STATIC. What an operator adds by hand with ip
// route is RTPROT_BOOT and is left alone.
const protocolStatic = 4

// action is the kind of a step.
type action int

const (
	setName action = iota // takes it down
	setIP6None
	setAlias
	setMTU
	setTxQueue
	delBroadcast
	addAddr
	setUp
	addRoute     // fails when the route is there
	replaceRoute // ours, with other attributes
	delRoute
	delAddr
)

// step is one change, with the sentence that Check and Ensure report.
type step struct {
	do    action
	text  string
	addr  netip.Prefix
	route route
	other broadcast
}

// wantRoute is the network's route. The preferred source makes the host's own
// packets come from LEASE.0 whatever other addresses there are, so that the
// other side accepts them.
func (c Config) wantRoute() route {
	return route{dst: c.Network, src: c.Addr, scope: scopeUniverse, protocol: protocolStatic}
}

// plan lists what must change, in an order in which no packet finds the
// network unrouted: the new address and route come before the old ones go
// (deleting an address deletes the routes that prefer it).
func plan(s state, c Config) []step {
	steps := planName(&s, c)
	steps = append(steps, planDevice(s, c)...)
	if s.earlier.device != "" {
		steps = append(steps, step{do: delBroadcast, text: fmt.Sprintf("%s has %s as a broadcast address", s.earlier.device, c.Addr), other: s.earlier})
	}
	steps = append(steps, planAddrs(s, c)...)
	if !s.up {
		steps = append(steps, step{do: setUp, text: "device is down"})
	}
	steps = append(steps, planRoutes(s, c)...)
	return append(steps, planStaleAddrs(s, c)...)
}

// planName gives the device its name back. Before Linux 6.2 only a device that
// is down can be renamed, and its routes go when it goes down.
func planName(s *state, c Config) []step {
	if s.renamed == "" {
		return nil
	}
	s.up, s.routes = false, nil
	return []step{{do: setName, text: fmt.Sprintf("device is called %s, not %s", s.renamed, c.Name)}}
}

func planDevice(s state, c Config) []step {
	var steps []step
	if s.ip6auto { // before the device goes up, when the address is made
		steps = append(steps, step{do: setIP6None, text: "IPv6 link-local addresses are generated"})
	}
	if s.alias != c.Alias {
		steps = append(steps, step{do: setAlias, text: fmt.Sprintf("alias is %q, not %q", s.alias, c.Alias)})
	}
	if s.mtu != c.MTU {
		steps = append(steps, step{do: setMTU, text: fmt.Sprintf("MTU is %d, not %d", s.mtu, c.MTU)})
	}
	if c.TxQueueLen > 0 && s.txQueue != c.TxQueueLen {
		steps = append(steps, step{do: setTxQueue, text: fmt.Sprintf("transmit queue is %d packets, not %d", s.txQueue, c.TxQueueLen)})
	}
	return steps
}

func planAddrs(s state, c Config) []step {
	want := netip.PrefixFrom(c.Addr, 32)
	for _, a := range s.addrs {
		if a == want {
			return nil
		}
	}
	return []step{{do: addAddr, addr: want, text: fmt.Sprintf("address %s is missing", want)}}
}

// planStaleAddrs drops addresses of an older lease. IPv6 addresses are the
// operator's.
func planStaleAddrs(s state, c Config) []step {
	var steps []step
	for _, a := range s.addrs {
		if a.Addr().Is4() && a != netip.PrefixFrom(c.Addr, 32) {
			steps = append(steps, step{do: delAddr, addr: a, text: fmt.Sprintf("address %s is not of this lease", a)})
		}
	}
	return steps
}

func planRoutes(s state, c Config) []step {
	want := c.wantRoute()
	var steps []step
	var exact, near bool // near: the kernel holds it for the same route
	for _, r := range s.routes {
		switch {
		case r == want:
			exact = true
		case r.dst == want.dst && r.metric == want.metric:
			near = true
		case r.protocol == protocolStatic:
			steps = append(steps, step{do: delRoute, route: r, text: fmt.Sprintf("route to %s is not of this network", r.dst)})
		}
	}
	switch {
	case exact:
	case near:
		steps = append([]step{{do: replaceRoute, route: want, text: fmt.Sprintf("route to %s has other attributes", want.dst)}}, steps...)
	default:
		text := fmt.Sprintf("route to %s is missing", want.dst)
		if s.routedBy != "" {
			text += fmt.Sprintf(" (it is to %s)", s.routedBy)
		}
		steps = append([]step{{do: addRoute, route: want, text: text}}, steps...)
	}
	return steps
}

// owner is what the device belongs to.
func (s state) owner() Owner {
	if s.isTUN && strings.HasPrefix(s.alias, AliasPrefix) {
		return Ours
	}
	return Foreign
}

// describe names a foreign device in an error.
func (s state) describe() string {
	if s.alias == "" {
		return fmt.Sprintf("a %s device without flanneld's alias", s.kind)
	}
	return fmt.Sprintf("a %s device with the alias %q", s.kind, s.alias)
}

// texts collects the sentences of the steps.
func texts(steps []step) []string {
	var all []string
	for _, s := range steps {
		all = append(all, s.text)
	}
	return all
}
