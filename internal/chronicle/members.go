// SPDX-License-Identifier: Apache-2.0

package chronicle

import (
	"fmt"
	"time"

	"flanneld/internal/control"
	"flanneld/peers"
)

// nodes compares the nodes of two snapshots. A node that is suspected counts as
// up: gossip decides within seconds.
func nodes(before, now *peers.Snapshot) (events []control.Event) {
	old, known := before.NodesByID(), map[peers.NodeID]bool{}
	for _, n := range now.Nodes {
		known[n.ID] = true
		if n.Self {
			continue
		}
		was, met := old[n.ID]
		if e, ok := member(was, n, met); ok {
			events = append(events, e)
		}
		events = append(events, lease(was, n)...)
	}
	for _, n := range before.Nodes {
		if !n.Self && !known[n.ID] && now.Network.Prefix.IsValid() {
			events = append(events, control.Event{
				Kind: control.EventMember, What: "forgotten", Node: nameOf(n), Text: nameOf(n).Text() + " is forgotten",
				Why: "it was struck out with flanneld forget, or was dead for long",
			})
		}
	}
	return events
}

// member says what has become of one node.
func member(was, n peers.NodeInfo, met bool) (e control.Event, ok bool) {
	name := nameOf(n)
	e = control.Event{Kind: control.EventMember, Node: name, Prefix: n.Lease.Prefix}
	switch {
	case up(n) && !(met && up(was)):
		e.What, e.Text = "up", fmt.Sprintf("%s is up at %s", name.Text(), n.Gossip)
		e.Why = cameUp(was, n, met)
	case n.State == peers.Dead && met && up(was):
		e.What, e.Text = "dead", fmt.Sprintf("%s is dead", name.Text())
		e.Why = "its gossip answers no node"
	case n.State == peers.Left && !(met && was.State == peers.Left):
		e.What, e.Text = "left", fmt.Sprintf("%s has left the network", name.Text())
		e.Why = "it handed its lease back"
	case met && up(n) && n.Endpoint != was.Endpoint:
		e.What, e.Text = "moved", fmt.Sprintf("%s has moved from %s to %s", name.Text(), was.Endpoint, n.Endpoint)
	case met && up(n) && n.Start > was.Start:
		e.What, e.Text = "restarted", fmt.Sprintf("%s was restarted", name.Text())
	default:
		return e, false
	}
	return e, true
}

// cameUp says why a node is up now.
func cameUp(was, n peers.NodeInfo, met bool) string {
	switch {
	case !met:
		return "it is new to this node"
	case n.Start > was.Start:
		return "it was started"
	case was.Since > 0:
		return fmt.Sprintf("its gossip answers again, after %v", was.Since.Round(time.Second))
	}
	return "its gossip answers"
}

func up(n peers.NodeInfo) bool { return n.State == peers.Alive || n.State == peers.Suspect }

// lease says what has become of the lease of another node.
func lease(was, n peers.NodeInfo) (events []control.Event) {
	if was.Lease.Prefix == n.Lease.Prefix {
		return nil
	}
	name := nameOf(n)
	add := func(what string, l peers.Lease, text, why string) {
		events = append(events, control.Event{Kind: control.EventLease, What: what, Node: name, Prefix: l.Prefix, Text: text, Why: why})
	}
	if was.Lease.Prefix.IsValid() {
		why := "the lease has ended, or another node has it"
		if n.State == peers.Left {
			why = "the node has left the network"
		}
		add("released", was.Lease, fmt.Sprintf("%s holds %s no more", name.Text(), was.Lease.Prefix), why)
	}
	if n.Lease.Prefix.IsValid() {
		add("held", n.Lease, fmt.Sprintf("%s holds %s", name.Text(), n.Lease.Prefix), grant(n.Lease))
	}
	return events
}

// grant says what a lease stands on.
func grant(l peers.Lease) string {
	if l.Electors == 0 {
		return fmt.Sprintf("epoch %d; no other node had to be asked", l.Epoch)
	}
	return fmt.Sprintf("epoch %d; %d of %d lease holders promised it", l.Epoch, l.Promises, l.Electors)
}

func nameOf(n peers.NodeInfo) control.NodeName {
	return control.NodeName{ID: n.ID.String(), Name: n.Name}
}
