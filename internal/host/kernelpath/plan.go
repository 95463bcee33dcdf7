// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// action is the kind of a step.
type action int

const (
	delDevice action = iota
	addDevice
	setAlias
	setMAC
	setMTU
	setAlone // take it out of a bridge
	setIP6None
	setForwarding
	setLoose
	setChecksums // to dev.checksums
	addAddr
	setUp
	delAddr

	setNeighbor
	setFDB
	addRoute     // fails when a route is there
	replaceRoute // ours, with other attributes
	takeRoute    // another program's, which leads the same way
	delRoute
	delFDB
	delNeighbor
)

// step is one change, with the sentence that Check and Ensure report.
type step struct {
	do   action
	text string

	dev   device       // the wanted device; for delDevice the one that is there
	addr  netip.Prefix // addAddr, delAddr; setNeighbor and delNeighbor as a /32
	mac   hwaddr       // setNeighbor, setFDB, delFDB
	far   remote       // setFDB
	route route        // addRoute, replaceRoute, takeRoute, delRoute
}

// planStale removes devices of ours that are not wanted, or that have something
// else than wanted which cannot be changed. It comes first: a new device may
// need the place of an old one.
func planStale(have []device, want []device, overlay string) []step {
	var steps []step
	for _, h := range have {
		if !ours(h, want, overlay) {
			continue
		}
		i := slices.IndexFunc(want, func(w device) bool { return w.name == h.name })
		switch {
		case i < 0:
			steps = append(steps, step{do: delDevice, dev: h, text: fmt.Sprintf("device %s is not wanted", h.name)})
		case !h.same(want[i]):
			steps = append(steps, step{do: delDevice, dev: h, text: fmt.Sprintf("device %s has other settings", h.name)})
		}
	}
	return steps
}

// ours reports whether a device is flanneld's. A vxlan device without an alias
// is, where it was only just made as wanted: the process that made it died
// there. Its MAC address tells, which follows from the node ID. An ipip device
// has none, and every program makes the same one.
func ours(h device, want []device, overlay string) bool {
	if h.kind != kindVXLAN && h.kind != kindIPIP {
		return false
	}
	begun := h.kind == kindVXLAN && h.alias == "" && !h.up && slices.ContainsFunc(want, func(w device) bool { return h.same(w) && h.mac == w.mac })
	return begun || hasAlias(h.alias, overlay)
}

// planDevice makes one device as wanted. have is the device of that name, nil
// for none: then it is only made, and planned again.
func planDevice(have *device, w device) []step {
	var steps []step
	add := func(do action, format string, args ...any) {
		steps = append(steps, step{do: do, dev: w, text: fmt.Sprintf("device "+w.name+" "+format, args...)})
	}
	if have == nil {
		add(addDevice, "is missing")
		return steps
	}
	h := *have
	if h.alias != w.alias {
		add(setAlias, "has the alias %q, not %q", h.alias, w.alias)
	}
	if h.mac != w.mac {
		add(setMAC, "has the MAC address %s, not %s", h.mac, w.mac)
	}
	if h.mtu != w.mtu {
		add(setMTU, "has MTU %d, not %d", h.mtu, w.mtu)
	}
	if h.enslaved {
		add(setAlone, "is a part of another device")
	}
	if h.ip6auto {
		add(setIP6None, "makes IPv6 link-local addresses")
	}
	if h.checksums && !w.checksums { // off by another program's hand is left alone
		add(setChecksums, "has checksums left to it")
	}
	own := w.addrs[0]
	if !slices.Contains(h.addrs, own) {
		steps = append(steps, step{do: addAddr, dev: w, addr: own, text: fmt.Sprintf("device %s lacks the address %s", w.name, own)})
	}
	if !h.forwarding {
		add(setForwarding, "does not forward")
	}
	if h.rpFilter != w.rpFilter {
		add(setLoose, "has rp_filter %d, not %d", h.rpFilter, w.rpFilter)
	}
	if !h.up {
		add(setUp, "is down")
	}
	for _, a := range h.addrs {
		if a != own {
			steps = append(steps, step{do: delAddr, dev: w, addr: a, text: fmt.Sprintf("device %s has the address %s", w.name, a)})
		}
	}
	return steps
}

// planEntries lists what must change for the peers, in order, so that equal
// changes make equal steps. A new peer gets neighbor, FDB entry, route in this
// order; they go in the opposite order. What is new comes before what is old
// goes.
func planEntries(have, want entries) []step {
	var steps []step
	for _, a := range slices.SortedFunc(maps.Keys(want.neighbors), netip.Addr.Compare) {
		w := want.neighbors[a]
		if h, ok := have.neighbors[a]; h != w {
			steps = append(steps, step{do: setNeighbor, addr: single(a), mac: w.mac, text: fmt.Sprintf("neighbor %s is %s", a, missing(ok))})
		}
	}
	for _, mac := range slices.SortedFunc(maps.Keys(want.fdb), compareHWAddr) {
		w := want.fdb[mac]
		if h, ok := have.fdb[mac]; h != w {
			if h.nexthop != 0 { // the kernel replaces no such entry
				steps = append(steps, step{do: delFDB, mac: mac, text: fmt.Sprintf("FDB entry of %s has a next hop", w.addr)})
			}
			steps = append(steps, step{do: setFDB, mac: mac, far: w, text: fmt.Sprintf("FDB entry of %s is %s", w.addr, missing(ok))})
		}
	}
	for _, dst := range slices.SortedFunc(maps.Keys(want.routes), netip.Prefix.Compare) {
		w := want.routes[dst]
		switch h, ok := have.routes[dst]; {
		case !ok && have.plain[dst] == hop{w.via, w.dev}:
			steps = append(steps, step{do: takeRoute, route: w, text: fmt.Sprintf("route to %s is another program's, and leads the same way", dst)})
		case !ok:
			steps = append(steps, step{do: addRoute, route: w, text: fmt.Sprintf("route to %s is missing", dst)})
		case h != w:
			steps = append(steps, step{do: replaceRoute, route: w, text: fmt.Sprintf("route to %s is another", dst)})
		}
	}
	return append(steps, planStaleEntries(have, want)...)
}

func missing(there bool) string {
	if there {
		return "another"
	}
	return "missing"
}

func planStaleEntries(have, want entries) []step {
	var steps []step
	for _, dst := range slices.SortedFunc(maps.Keys(have.routes), netip.Prefix.Compare) {
		if _, ok := want.routes[dst]; !ok {
			steps = append(steps, step{do: delRoute, route: have.routes[dst], text: fmt.Sprintf("route to %s is not wanted", dst)})
		}
	}
	for _, mac := range slices.SortedFunc(maps.Keys(have.fdb), compareHWAddr) {
		if _, ok := want.fdb[mac]; !ok {
			steps = append(steps, step{do: delFDB, mac: mac, text: fmt.Sprintf("FDB entry of %s is not wanted", have.fdb[mac].addr)})
		}
	}
	for _, a := range slices.SortedFunc(maps.Keys(have.neighbors), netip.Addr.Compare) {
		if _, ok := want.neighbors[a]; !ok && have.neighbors[a].permanent { // others are the kernel's own
			steps = append(steps, step{do: delNeighbor, addr: single(a), text: fmt.Sprintf("neighbor %s is not wanted", a)})
		}
	}
	return steps
}

// apply notes in the entries that a step was done.
func (e entries) apply(s step) {
	switch s.do {
	case setNeighbor:
		e.neighbors[s.addr.Addr()] = neighbor{mac: s.mac, permanent: true}
	case setFDB:
		e.fdb[s.mac] = s.far
	case addRoute, replaceRoute, takeRoute:
		e.routes[s.route.dst] = s.route
		delete(e.taken, s.route.dst)
		delete(e.plain, s.route.dst)
	case delRoute:
		delete(e.routes, s.route.dst)
	case delFDB:
		delete(e.fdb, s.mac)
	case delNeighbor:
		delete(e.neighbors, s.addr.Addr())
	}
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

func compareHWAddr(a, b hwaddr) int { return bytes.Compare(a[:], b[:]) }

// maxTexts is how many changes of one kind are named one by one.
const maxTexts = 3

// nouns are what steps of a kind are about, for a summary.
var nouns = map[action]string{
	setNeighbor: "neighbors of peers were missing or wrong", setFDB: "FDB entries of peers were missing or wrong",
	addRoute: "routes to peers were missing", takeRoute: "routes to peers were another program's", replaceRoute: "routes to peers were others",
	delRoute: "routes were not wanted", delFDB: "FDB entries were not wanted", delNeighbor: "neighbors were not wanted",
}

// texts collects the sentences of the steps. Many of one kind become one.
func texts(steps []step) []string {
	count := map[action]int{}
	for _, s := range steps {
		count[s.do]++
	}
	var all []string
	said := map[action]bool{}
	for _, s := range steps {
		n, noun := count[s.do], nouns[s.do]
		switch {
		case noun == "" || n <= maxTexts:
			all = append(all, s.text)
		case !said[s.do]:
			said[s.do] = true
			all = append(all, fmt.Sprintf("%d %s", n, noun))
		}
	}
	return all
}
