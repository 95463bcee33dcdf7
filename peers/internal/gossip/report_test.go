// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

// caller is another node's gossip port, with what came there.
type caller struct {
	t    *testing.T
	id   record.Identity
	conn *net.UDPConn
	at   netip.AddrPort
}

func callerOf(t *testing.T, n byte) *caller {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(nextAddr(), 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	at, _ := netip.ParseAddrPort(conn.LocalAddr().String())
	return &caller{t, identityOf(n), conn, at}
}

// asks sends an inquiry through the sockets, and returns the parts that came
// within a moment, and the bytes of all that came.
func (c *caller) asks(g *Agent, q wire.Inquiry, signer record.Identity, wait time.Duration) (parts []wire.Part, bytes int) {
	c.t.Helper()
	b := append(wire.Envelope(wire.ModePlain), q.Encode(signer)...)
	if _, err := c.conn.WriteToUDPAddrPort(b, g.endpoint); err != nil {
		c.t.Fatal(err)
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(wait))
	buf := make([]byte, 4096)
	for {
		n, err := c.conn.Read(buf)
		if err != nil {
			return parts, bytes
		}
		bytes += n
		p, ok := wire.ParsePart(append([]byte(nil), buf[wire.EnvelopeSize:n]...))
		if !ok {
			c.t.Fatalf("%d bytes that are no part", n)
		}
		parts = append(parts, p)
		if len(parts) == 1 {
			_ = c.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		}
	}
}

// member makes the caller a member at its endpoint, and a lease holder if it is
// one.
func (c *caller) member(g *Agent, holder bool) *caller {
	m := metaOf(c.id, 1, 1)
	m.At, m.Network, m.Prefix = c.at, record.NetworkID{1}, testNetwork
	g.members.mu.Lock()
	node := memberlist.Node{Name: m.Name(), Addr: c.at.Addr().AsSlice(), Port: c.at.Port()}
	g.members.enter(&member{node: node, id: c.id.ID(), start: 1, meta: m})
	g.members.mu.Unlock()
	other := identityOf(77).ID()
	holders, at := map[record.NodeID]bool{other: true}, map[netip.AddrPort]bool{}
	if holder {
		holders[c.id.ID()], at[c.at] = true, true
	}
	g.members.setHolders(holders, at)
	return c
}

// Only a lease holder is answered, at its own endpoint, and gets no more bytes
// than it sends.
func TestOnlyLeaseHoldersGetAReport(t *testing.T) {
	report := bytes.Repeat([]byte("r"), wire.PartBytes+1)
	g := gateThatTells(t, nil, tells{makeReport: func() []byte { return report }})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { g.answerInquiries(ctx); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	self := g.about.Load().Node

	holder := callerOf(t, 5).member(g, true)
	q := wire.Inquiry{Nonce: [wire.NonceSize]byte{1}, To: self}
	parts, size := holder.asks(g, q, holder.id, 5*time.Second)
	if len(parts) != 1 || parts[0].Nonce != q.Nonce || parts[0].Parts != 2 || parts[0].From != self || !bytes.Equal(parts[0].Bytes, report[:wire.PartBytes]) {
		t.Fatalf("a lease holder gets %+v", parts)
	}
	if size > wire.EnvelopeSize+wire.InquirySize {
		t.Errorf("%d bytes answer %d", size, wire.EnvelopeSize+wire.InquirySize)
	}
	rest, _ := holder.asks(g, wire.Inquiry{To: self, Report: parts[0].Report, Part: 1}, holder.id, 5*time.Second)
	if len(rest) != 1 || string(rest[0].Bytes) != "r" || rest[0].Report != parts[0].Report {
		t.Errorf("the second part: %+v", rest)
	}

	const silence = 300 * time.Millisecond
	question := wire.Inquiry{To: self, Question: []byte("why?")}
	if parts, size := holder.asks(g, question, holder.id, silence); size != 0 {
		t.Errorf("nothing answers questions here, and there are %d parts", len(parts))
	}
	stranger := callerOf(t, 6)
	for what, ask := range map[string]func() ([]wire.Part, int){
		"a stranger":                         func() ([]wire.Part, int) { return stranger.asks(g, q, stranger.id, silence) },
		"a stranger with a holder's message": func() ([]wire.Part, int) { return stranger.asks(g, q, holder.id, silence) },
		"a holder's port without its key":    func() ([]wire.Part, int) { return holder.asks(g, q, stranger.id, silence) },
		"an inquiry for another node": func() ([]wire.Part, int) {
			return holder.asks(g, wire.Inquiry{To: record.NodeID{8}}, holder.id, silence)
		},
		"a report that is no more": func() ([]wire.Part, int) {
			return holder.asks(g, wire.Inquiry{To: self, Report: 2}, holder.id, silence)
		},
		"a part that is not there": func() ([]wire.Part, int) {
			return holder.asks(g, wire.Inquiry{To: self, Part: 7}, holder.id, silence)
		},
	} {
		if parts, size := ask(); size != 0 {
			t.Errorf("%s: %d parts in %d bytes", what, len(parts), size)
		}
	}
	newcomer := callerOf(t, 7).member(g, false)
	if parts, size := newcomer.asks(g, q, newcomer.id, silence); size != 0 {
		t.Errorf("a newcomer: %d parts in %d bytes", len(parts), size)
	}
}

// A question is answered to the lease holder that has signed it, and to no
// other node. One that this node does not know has no answer.
func TestOnlyLeaseHoldersHaveTheirQuestionsAnswered(t *testing.T) {
	holder, stranger := callerOf(t, 5), callerOf(t, 6)
	g := gateThatTells(t, nil, tells{answerTo: func(from record.NodeID, question []byte) []byte {
		if from != holder.id.ID() {
			t.Errorf("%s was taken for the sender", from)
		}
		if string(question) != "why?" {
			return nil
		}
		return []byte("because")
	}})
	holder.member(g, true)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { g.answerInquiries(ctx); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })

	q := wire.Inquiry{Nonce: [wire.NonceSize]byte{1}, To: g.about.Load().Node, Question: []byte("why?")}
	parts, size := holder.asks(g, q, holder.id, 5*time.Second)
	if len(parts) != 1 || parts[0].Nonce != q.Nonce || string(parts[0].Bytes) != "because" || size > wire.EnvelopeSize+wire.InquirySize {
		t.Errorf("%+v in %d bytes", parts, size)
	}
	const silence = 300 * time.Millisecond
	for what, c := range map[string]struct {
		caller *caller
		signed record.Identity
	}{"a stranger": {stranger, stranger.id}, "a stranger with a holder's message": {stranger, holder.id}} {
		if parts, size := c.caller.asks(g, q, c.signed, silence); size != 0 {
			t.Errorf("%s: %d parts in %d bytes", what, len(parts), size)
		}
	}
	q.Question = []byte("when?")
	if parts, size := holder.asks(g, q, holder.id, silence); size != 0 {
		t.Errorf("a question without an answer: %d parts in %d bytes", len(parts), size)
	}
}

// A lease holder that asks as fast as it can is answered so often and no more.
func TestInquiriesAreLimited(t *testing.T) {
	g := gateThatTells(t, nil, tells{makeReport: func() []byte { return []byte("report") }})
	holder := callerOf(t, 5).member(g, true)
	q := wire.Inquiry{To: g.about.Load().Node}.Encode(holder.id)
	const asked = 3 * inquiryBurst
	taken := 0
	for range asked {
		if err := g.message(q, holder.at, g.members.standing(holder.at), time.Now()); err != nil {
			t.Fatal(err)
		}
		select {
		case <-g.asked:
			taken++
		default:
		}
	}
	if taken < inquiryBurst-1 || taken > 2*inquiryBurst {
		t.Errorf("%d of %d inquiries are taken", taken, asked)
	}
	// They wait in a queue that is bounded.
	g.limits.inquiriesOf = newAllowance(1e6, 1, 8)
	for range 2 * inquiryQueue {
		_ = g.message(q, holder.at, g.members.standing(holder.at), time.Now())
	}
	if len(g.asked) != inquiryQueue || g.dropped.Load() == 0 {
		t.Errorf("%d wait, %d were dropped", len(g.asked), g.dropped.Load())
	}
}
