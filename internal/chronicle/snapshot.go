// SPDX-License-Identifier: Apache-2.0

package chronicle

import (
	"fmt"
	"net/netip"

	"flanneld/internal/control"
	"flanneld/peers"
)

// Snapshots compares two snapshots of this node. before nil: there was none,
// and what is known from disk is no event.
func Snapshots(before, now *peers.Snapshot) (events []control.Event) {
	if before == nil {
		empty := *now
		empty.Lease, empty.Waiting, empty.Ballot, empty.Conflicts = peers.None, "", nil, nil
		before = &empty
	}
	events = nodes(before, now)
	events = append(events, own(before, now)...)
	return append(events, conflicts(before, now)...)
}

// own says how this node's lease has changed. What it waits for is told once
// for each reason, whatever figures are in it.
func own(before, now *peers.Snapshot) (events []control.Event) {
	add := func(what string, p netip.Prefix, text, why string) {
		events = append(events, control.Event{Kind: control.EventLease, What: what, Prefix: p, Text: text, Why: why})
	}
	lease := now.Self.Lease
	if b := now.Ballot; b != nil && (before.Ballot == nil || before.Ballot.Prefix != b.Prefix) {
		add("claiming", b.Prefix, fmt.Sprintf("this node claims %s", b.Prefix), fmt.Sprintf("it needs %d promises of %d lease holders", b.Needed, b.Electors))
	}
	if now.Waiting != "" && now.Waiting != before.Waiting {
		add("waiting", netip.Prefix{}, "this node waits for its lease", now.Waiting)
	}
	switch {
	case now.Lease == peers.Confirmed && (before.Lease != peers.Confirmed || before.Self.Lease.Prefix != lease.Prefix):
		add("confirmed", lease.Prefix, fmt.Sprintf("the lease %s of this node is confirmed", lease.Prefix), grant(lease))
	case now.Lease == peers.Lost && before.Lease != peers.Lost:
		add("lost", before.Self.Lease.Prefix, fmt.Sprintf("this node has lost its lease %s", before.Self.Lease.Prefix), "another node holds the subnet by a later grant")
	}
	return events
}

// conflicts says which conflicts have begun and ended.
func conflicts(before, now *peers.Snapshot) (events []control.Event) {
	type between struct {
		subnet        netip.Prefix
		winner, loser peers.NodeID
	}
	of := func(s *peers.Snapshot) (map[between]bool, []between) {
		all, order := map[between]bool{}, []between{}
		for _, c := range s.Conflicts {
			b := between{c.Prefix, c.Winner, c.Loser}
			all[b], order = true, append(order, b)
		}
		return all, order
	}
	old, oldOrder := of(before)
	present, order := of(now)
	known := now.NodesByID()
	name := func(id peers.NodeID) control.NodeName {
		return control.NodeName{ID: id.String(), Name: known[id].Name}
	}
	add := func(b between, what, text, why string) {
		events = append(events, control.Event{
			Kind: control.EventLease, What: what, Node: name(b.loser), Prefix: b.subnet, Subject: b.winner.String(),
			Text: fmt.Sprintf(text, b.subnet, name(b.winner).Text(), name(b.loser).Text()), Why: why,
		})
	}
	for _, b := range order {
		if !old[b] {
			add(b, "conflict", "%s is held by %s and claimed by %s", "both were granted it while they did not see each other")
		}
	}
	for _, b := range oldOrder {
		if !present[b] {
			add(b, "settled", "the conflict about %s between %s and %s is over", "")
		}
	}
	return events
}
