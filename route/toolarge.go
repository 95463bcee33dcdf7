// SPDX-License-Identifier: Apache-2.0

package route

import (
	"log/slog"

	"flanneld/encap"
	"flanneld/internal/packet"
)

// notice sends a peer's container an ICMP message about a packet that is larger
// than this node's device permits. It belongs to the ingress of a lane. A peer
// with gossip knows the device's MTU and does not send such packets. A static
// one may not know it, and the container would lose them silently.
type notice struct {
	sealing   *Sealing // Config.Sealing
	responder icmpResponder
	limit     *icmpLimiter
	log       *slog.Logger
	message   [1]encap.Message
	buffer    [1][]byte
}

func newNotice(cfg *Config, limit *icmpLimiter) notice {
	return notice{sealing: cfg.Sealing, responder: newICMPResponder(cfg.Lease, cfg.MTU), limit: limit, log: cfg.Logger}
}

// tooLarge counts such a packet for its peer and logs, once, that the peer
// sends such packets. If the packet must not be fragmented, it also sends the
// container an ICMP message (RFC 1191) through that peer. It ignores a packet
// with a source outside the peer's lease.
func (g *ingress) tooLarge(datagram []byte, from sender) {
	p, err := packet.Parse(datagram)
	if err != nil {
		return
	}
	hop, reason := g.vouch(p, from)
	if reason != Forwarded {
		return
	}
	hop.Peer.tooLarge.Add(1)
	if !hop.Peer.larger.Swap(true) {
		g.notice.log.Warn("a peer sends packets that this device does not take: give both the same MTU",
			"peer", hop.Peer.Name(), "packet", len(p), "mtu", g.mtu)
	}
	broadcast := hop.Prefix.Bits() < 31 && p.Source() == lastAddr(hop.Prefix)
	if broadcast || !p.DontFragment() || !g.notice.responder.mayAnswer(p) {
		return
	}
	if !g.notice.limit.allow(TooLarge, g.now) {
		g.tally.suppressed++
		return
	}
	if g.notice.send(g.conn, p, hop, g.mtu) {
		g.tally.answered++
	} else {
		g.tally.unanswered++
	}
}

// send sends the message to a packet's peer, and reports whether the kernel
// took it.
func (n *notice) send(conn Conn, about packet.Packet, hop *NextHop, mtu int) bool {
	answer := n.responder.answer(about, answers[NeedsFragmentation], mtu)
	if n.sealing != nil {
		return n.sealing.Send(hop.Peer, answer)
	}
	n.buffer[0] = answer
	n.message[0] = encap.Message{Addr: hop.Endpoint, Buffers: n.buffer[:], Express: true, TOS: answer.TOS()}
	_, err := conn.Send(n.message[:])
	return err == nil && n.message[0].Err == nil
}
