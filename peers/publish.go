// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/gossip"
	"flanneld/peers/internal/record"
)

// publish makes a new Snapshot, and leaves a token where there is news in it.
func (e *engine) publish() {
	v := e.core.View()
	e.setHolders(v, e.gossip)
	s := &Snapshot{
		Lease: v.State, Fill: v.Fill,
		Waiting: e.waiting(v), Unwritten: e.store.Problem(),
		Sealed:  e.node.keyring != nil,
		Self:    e.node.self(e.gossip.Endpoint().Port()),
		Dropped: e.dropped + e.gossip.NotTaken(),
	}
	if n := v.Network; n.Prefix.IsValid() {
		s.Network = Network{n.ID().String(), n.Prefix, int(n.SubnetLen), n.SubnetMin, n.SubnetMax}
	}
	var lost []netip.AddrPort
	e.missing = e.missing[:0]
	for i := range v.Nodes {
		n := &v.Nodes[i]
		info := e.info(n)
		if n.Self {
			s.Self = info
		} else if e.gossip.Met(n.ID) && (info.State == Dead || e.gossip.InDoubt(n.ID) || info.State != Left && !e.joiner.HasJoined()) {
			lost = append(lost, info.Gossip)
			if info.Lease.Prefix.IsValid() {
				e.missing = append(e.missing, missing{n.ID, info.Gossip})
			}
		}
		s.Nodes = append(s.Nodes, info)
	}
	slices.SortFunc(s.Nodes, compareInfos)
	s.PromisedBy = idsOf(v.Grantors)
	if b := v.Ballot; b != nil {
		s.Claim = &Claim{b.Subnet, b.Epoch, b.Electors, b.Needed, idsOf(b.Promised), idsOf(b.Missing)}
	}
	for _, c := range v.Conflicts {
		s.Conflicts = append(s.Conflicts, Conflict{v.Network.SubnetOf(c.Slot), c.Winner.String(), c.Loser.String(), e.now() - c.Since})
	}
	e.joiner.SetLost(lost)
	if before := e.node.snapshot.Load(); before.Unwritten != s.Unwritten {
		e.news = true
	}
	e.node.snapshot.Store(s)
	e.published = time.Now()
	if e.news {
		e.news = false
		select {
		case e.node.changes <- struct{}{}:
		default: // the last token was not taken yet
		}
	}
}

// setHolders tells an agent which nodes hold a lease, and where they are.
func (e *engine) setHolders(v core.View, g *gossip.Agent) {
	holders, at := map[record.NodeID]bool{}, map[netip.AddrPort]bool{}
	for i := range v.Nodes {
		if n := &v.Nodes[i]; n.Subnet.IsValid() && !n.Self {
			holders[n.ID], at[n.Record.Gossip()] = true, true
		}
	}
	g.SetHolders(holders, at)
}

// info is a node of the core's view as a [Snapshot] has it.
func (e *engine) info(n *core.NodeView) NodeInfo {
	info := NodeInfo{
		ID: n.ID.String(), Name: n.Record.Name, State: stateOf(n), Self: n.Self,
		Endpoint: n.Record.Endpoint(), Gossip: n.Record.Gossip(), MTU: int(n.Record.MTU), Caps: n.Record.Caps,
		Start: n.Record.Start, Since: n.Since,
	}
	if !n.Replaced.IsZero() {
		info.ReplacedBy = n.Replaced.String()
	}
	info.Old = n.Former
	if n.Subnet.IsValid() {
		info.Lease = Lease{n.Subnet, n.Lease.Epoch, n.Lease.Pinned, int(n.Lease.Electors), int(n.Lease.Promises), n.Held}
	}
	if m, ok := e.gossip.Member(n.ID); ok {
		info.RTT = m.RTT
	}
	return info
}

func idsOf(ids []record.NodeID) []string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return texts
}

func stateOf(n *core.NodeView) State {
	switch {
	case n.Record.Left:
		return Left
	case !n.Up:
		return Dead
	case n.Suspect:
		return Suspect
	}
	return Alive
}

// compareInfos orders by subnet, nodes without one last, then by name, then by
// ID.
func compareInfos(a, b NodeInfo) int {
	return cmp.Or(
		comparePrefixes(a.Lease.Prefix, b.Lease.Prefix),
		strings.Compare(a.Name, b.Name),
		strings.Compare(a.ID, b.ID),
	)
}

func comparePrefixes(a, b netip.Prefix) int {
	switch {
	case a.IsValid() && b.IsValid():
		return a.Addr().Compare(b.Addr())
	case a.IsValid():
		return -1
	case b.IsValid():
		return 1
	}
	return 0
}

// waiting says in one line what this node waits for. The disk comes before the
// network, and the seeds explain the core's line.
func (e *engine) waiting(v core.View) string {
	if text := e.store.Problem(); text != "" {
		return text
	}
	seeds := e.joiner.Status()
	if v.State != Joining || seeds == "" {
		return v.Waiting
	}
	return "no seed can be joined (trying again): " + seeds
}
