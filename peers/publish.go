// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"flanneld/peers/internal/gossip"
	"flanneld/peers/internal/record"
)

// publish makes a new Snapshot, and leaves a token where there is news in it.
func (e *engine) publish() {
	v := e.core.View()
	e.setHolders(v, e.gossip)
	v.Waiting = e.waiting(v)
	s := &Snapshot{
		View: v, Self: e.node.self(e.gossip.Endpoint().Port()),
		Unwritten: e.store.Problem(), Sealed: e.node.keyring != nil, Dropped: e.dropped + e.gossip.NotTaken(), Gossip: e.gossipTraffic(),
	}
	var lost []netip.AddrPort
	e.missing = e.missing[:0]
	for i, n := range s.Nodes {
		n = e.withRTT(n)
		s.Nodes[i] = n
		if n.Self {
			s.Self = n
		} else if e.gossip.Met(n.ID) && (n.State == Dead || e.gossip.InDoubt(n.ID) || n.State != Left && !e.joiner.HasJoined()) {
			lost = append(lost, n.Gossip)
			if n.Lease.Prefix.IsValid() {
				e.missing = append(e.missing, missing{n.ID, n.Gossip})
			}
		}
	}
	slices.SortFunc(s.Nodes, compareNodes)
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

func (e *engine) gossipTraffic() GossipTraffic {
	t := &e.node.traffic
	messages, bytes := e.gossip.Queue()
	return GossipTraffic{
		DatagramsSent: t.DatagramsSent.Load(), DatagramsReceived: t.DatagramsReceived.Load(),
		DatagramBytesSent: t.DatagramBytesSent.Load(), DatagramBytesReceived: t.DatagramBytesReceived.Load(),
		StreamBytesSent: t.StreamBytesSent.Load(), StreamBytesReceived: t.StreamBytesReceived.Load(),
		QueuedMessages: messages, QueuedBytes: bytes, Lag: e.gossip.Lag(time.Now()),
	}
}

// setHolders tells an agent which nodes hold a lease, and where they are.
func (e *engine) setHolders(v View, g *gossip.Agent) {
	holders, at := map[NodeID]bool{}, map[netip.AddrPort]bool{}
	for _, n := range v.Nodes {
		if n.Lease.Prefix.IsValid() && !n.Self {
			holders[n.ID], at[n.Gossip] = true, true
		}
	}
	g.SetHolders(holders, at)
}

// withRTT adds to a node what gossip has measured.
func (e *engine) withRTT(n NodeInfo) NodeInfo {
	if m, ok := e.gossip.Member(n.ID); ok {
		n.RTT = m.RTT
	}
	return n
}

// compareNodes orders by subnet, nodes without one last, then by name, then by
// ID.
func compareNodes(a, b NodeInfo) int {
	return cmp.Or(
		comparePrefixes(a.Lease.Prefix, b.Lease.Prefix),
		strings.Compare(a.Name, b.Name),
		record.CompareIDs(a.ID, b.ID),
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
func (e *engine) waiting(v View) string {
	if text := e.store.Problem(); text != "" {
		return text
	}
	seeds := e.joiner.Status()
	if v.Lease != Joining || seeds == "" {
		return v.Waiting
	}
	return "no seed can be joined (trying again): " + seeds
}
