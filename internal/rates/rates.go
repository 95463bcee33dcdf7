// SPDX-License-Identifier: Apache-2.0

// Package rates turns looks at the counters of a node into what it does per
// second. It is pure.
package rates

import (
	"time"

	"flanneld/internal/control"
)

// Look is what a node showed at one moment.
type Look struct {
	At     time.Time
	Status control.Status
	Nodes  control.Nodes
}

// lossWindow is how long back lost probes count. A peer is probed once a second
// while it has traffic, else every ten seconds.
const lossWindow = 30 * time.Second

// Window keeps the looks of the last half minute. The zero value has none. It
// is not safe for concurrent use.
type Window struct{ looks []Look }

// Add adds a look. Those of a daemon that was started again begin anew.
func (w *Window) Add(l Look) {
	if n := len(w.looks); n > 0 && w.looks[n-1].Status.PID != l.Status.PID {
		w.looks = nil
	}
	w.looks = append(w.looks, l)
	for len(w.looks) > 2 && l.At.Sub(w.looks[0].At) > lossWindow {
		w.looks = w.looks[1:]
	}
}

// Top is what the last two looks say; not ok: there is one at most.
func (w *Window) Top() (t control.Top, ok bool) {
	n := len(w.looks)
	if n < 2 {
		return t, false
	}
	first, before, now := w.looks[0], w.looks[n-2], w.looks[n-1]
	seconds := now.At.Sub(before.At).Seconds()
	if seconds <= 0 {
		return t, false
	}
	r := rater{1 / seconds}
	s, was := now.Status, before.Status
	t = control.Top{
		Health: s.Health, Time: now.At, Node: s.Node, Subnet: s.Lease.Subnet, Uptime: s.Uptime, Members: s.Members,
		Egress: r.rate(was.Egress, s.Egress), Ingress: r.rate(was.Ingress, s.Ingress), Arrived: r.rate(total(was.Arrived), total(s.Arrived)),
		Drops: map[string]float64{}, Peers: []control.TopPeer{},
	}
	for reason, count := range s.Drops {
		if grown := grown(was.Drops[reason], count); grown > 0 {
			t.Drops[reason] = float64(grown) * r.perSecond
		}
	}
	old, oldest := byKey(before.Nodes), byKey(first.Nodes)
	for _, peer := range now.Nodes.Nodes {
		if !peer.Self {
			t.Peers = append(t.Peers, r.peer(oldest[keyOf(peer)], old[keyOf(peer)], peer))
		}
	}
	return t, true
}

// rater turns the growth of counters into rates.
type rater struct{ perSecond float64 }

func (r rater) rate(before, now control.Traffic) control.Rate {
	return control.Rate{
		Packets: float64(grown(before.Packets, now.Packets)) * r.perSecond,
		Bytes:   float64(grown(before.Bytes, now.Bytes)) * r.perSecond,
	}
}

// peer compares a peer with what it was at the look before, and at the first
// one of the window.
func (r rater) peer(first, before, now control.Node) control.TopPeer {
	ingress := r.rate(before.Ingress, now.Ingress)
	by := r.rate(arrived(before), arrived(now))
	ingress.Packets += by.Packets
	ingress.Bytes += by.Bytes
	p := control.TopPeer{
		ID: now.ID, Name: now.Name, State: now.State, Subnet: now.Subnet, RTT: now.Path.RTT,
		Probes: grown(first.Path.Sent, now.Path.Sent), Lost: grown(first.Path.Lost, now.Path.Lost),
		Ingress: ingress, Egress: r.rate(before.Egress, now.Egress),
	}
	p.Lost = min(p.Lost, p.Probes) // one that was sent before the window can be lost in it
	for _, path := range now.Paths {
		if path.Used {
			p.Path, p.ByKernel = path.Path, path.Path != "udp"
		}
	}
	return p
}

// grown is how much a counter has grown; one that began anew has grown from 0.
func grown(before, now uint64) uint64 {
	if now < before {
		return now
	}
	return now - before
}

// arrived is what has come from a peer by kernel paths.
func arrived(n control.Node) (sum control.Traffic) {
	for _, p := range n.Paths {
		sum.Packets += p.Arrived.Packets
		sum.Bytes += p.Arrived.Bytes
	}
	return sum
}

func total(by map[string]control.Traffic) (sum control.Traffic) {
	for _, t := range by {
		sum.Packets += t.Packets
		sum.Bytes += t.Bytes
	}
	return sum
}

// keyOf is what tells peers apart: a static one has no ID.
func keyOf(n control.Node) string {
	if n.ID != "" {
		return n.ID
	}
	return n.Name + " " + n.Subnet.String()
}

func byKey(n control.Nodes) map[string]control.Node {
	all := make(map[string]control.Node, len(n.Nodes))
	for _, one := range n.Nodes {
		all[keyOf(one)] = one
	}
	return all
}
