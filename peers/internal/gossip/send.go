// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"

	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

type longMessage struct {
	to  memberlist.Node
	msg []byte
}

// Send carries a message of the core's to a node that is a member, or has just
// written to us. at is the node's endpoint, where the caller knows it. Send
// does not wait. It drops and counts what there is no room for; to the core
// that is the same as a loss in the network. One goroutine calls it.
func (g *Agent) Send(to record.NodeID, at netip.AddrPort, msg []byte) {
	pad := 0
	if time.Since(g.started) < newcomerFor {
		pad = newcomerFrame
	}
	b := wire.EncodeDirect(g.about.Load().Node, g.endpoint, msg, pad)
	m, ok := g.members.of(to)
	switch {
	case !ok:
		g.sendBack(to, at, b)
	case len(b) <= maxDatagram:
		if err := g.list.SendBestEffort(&m.node, b); err != nil {
			g.log.Debug("gossip: datagram not sent", "to", m.endpoint(), "err", err)
		}
	default:
		g.sendLong(m, b)
	}
}

// sendBack answers a node that gossip has not named to us yet. It answers at
// the endpoint in the node record, where that is known, else at the one that
// the frame names.
func (g *Agent) sendBack(to record.NodeID, at netip.AddrPort, b []byte) {
	from, ok := g.paths.take(to, len(b), time.Now())
	if !at.IsValid() {
		at = from
	}
	if ok && len(b) <= maxDatagram {
		if err := g.list.SendToAddress(memberlist.Address{Addr: at.String()}, b); err != nil {
			g.log.Debug("gossip: datagram not sent", "to", at, "err", err)
		}
	}
}

// sendLong queues a message for a stream.
func (g *Agent) sendLong(m member, b []byte) {
	if !g.longRoom.take(len(b)) {
		g.dropped.Add(1)
		return
	}
	g.unsent.Add(1)
	select {
	case g.long <- longMessage{m.node, b}:
	default:
		g.unsent.Done()
		g.longRoom.give(len(b))
		g.dropped.Add(1)
	}
}

// sendLongs sends long messages until Stop.
func (g *Agent) sendLongs() {
	for s := range g.long {
		if err := g.list.SendReliable(&s.to, s.msg); err != nil {
			g.log.Debug("gossip: stream not sent", "to", s.to.Address(), "err", err)
		}
		g.longRoom.give(len(s.msg))
		g.unsent.Done()
	}
}

// Queue is how many broadcasts wait to be sent often enough, and their bytes.
func (g *Agent) Queue() (messages, bytes int) { return g.broadcasts.size() }

// Broadcast queues a message of the core's for all nodes, a few at a time. A
// newer one with the same key takes its place.
func (g *Agent) Broadcast(key string, msg []byte) { g.broadcasts.put(key, wire.EncodeBroadcast(msg)) }
