package route

import (
	"net/netip"

	"flanneld/encap"
)

// notice is how the ingress of a lane tells a peer's container about a packet that
// is larger than this node's device takes. A peer with gossip knows the device's
// MTU and does not send such packets; a static one may not know it, and the
// container would lose them unseen.
type notice struct {
	answerer answerer
	limit    *answerLimit
	message  [1]encap.Message
	buffer   [1][]byte
}

func newNotice(cfg *Config, limit *answerLimit) notice {
	return notice{answerer: newAnswerer(cfg.Lease, cfg.MTU), limit: limit}
}

// tooLarge sends the container an ICMP message (RFC 1191), through the peer that
// the datagram came from, if the peer vouches for the packet and the packet must
// not be fragmented. Nothing is sent to the underlay otherwise: to a stranger not
// even an answer within the overlay.
func (g *ingress) tooLarge(datagram []byte, outer netip.Addr) {
	p, reason := parse(datagram)
	if reason != Forwarded || !p.dontFragment() || !g.notice.answerer.mayAnswer(p) {
		return
	}
	hop, reason := g.vouch(p, outer)
	if reason != Forwarded || hop.Prefix.Bits() < 31 && p.source() == lastAddr(hop.Prefix) {
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

// send sends the message to a packet's peer, and reports whether the kernel took
// it.
func (n *notice) send(conn Conn, about packet, hop *NextHop, mtu int) bool {
	answer := n.answerer.answer(about, answers[NeedsFragmentation], mtu)
	n.buffer[0] = answer
	n.message[0] = encap.Message{Addr: hop.Endpoint, Buffers: n.buffer[:], Express: true, TOS: answer.tos()}
	_, err := conn.Send(n.message[:])
	return err == nil && n.message[0].Err == nil
}
