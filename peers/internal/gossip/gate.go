// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

// The gate stands between the sockets and memberlist. It opens what is sealed,
// takes messages apart, lets through what its sender may say, and writes anew
// what it lets through. Nothing else reaches memberlist.
//
// A datagram's source endpoint decides what its sender is: a lease holder, a
// newcomer (a member without a lease), or a stranger, at any other endpoint. A
// stranger may ask and answer questions, ping, announce itself as a member, and
// send direct frames from the endpoint that it names. A newcomer may also pass
// on what it has heard, and ask for a checkup. Only a lease holder may accuse
// others of being dead, and ask for a report.
const maxPacket = 1472 // bytes of a datagram on an Ethernet without fragments

// Limits on what senders can make this node do, in messages and in messages a
// second. Checking a signature takes 60 us, making one 25.
const (
	strangerBurst, strangerRate   = 400, 100 // datagrams of one stranger's address
	strangersBurst, strangersRate = 8000, 3000
	memberBurst, memberRate       = 4000, 2000 // datagrams of one member's address
	maxSources                    = 8192

	metaBurst, metaRate       = 2048, 300 // signatures of metas to check
	answersBurst, answersRate = 4096, 1000
	refuteBurst, refuteRate   = 64, 5 // accusations of this node itself
	callBurst, callRate       = 64, 4 // streams of one stranger's address

	// Bytes of these streams, and bytes a second. A join brings a node table at
	// most, of about 1 KB a node. To read 4 MB takes 20 ms.
	callBytesBurst, callBytesRate = strangerBytes, 1 << 20
)

// limits are those of one gate.
type limits struct {
	strangers, members *allowance // datagrams by address
	allStrangers       *limiter
	metas, answers     *limiter
	refutations        *limiter
	checkups           *limiter   // that are answered
	calls              *allowance // streams of strangers by address
	callBytes          *allowance // and their bytes
	inquiriesOf        *allowance // by address
	inquiries          *limiter
}

func newLimits() limits {
	return limits{
		strangers:    newAllowance(strangerBurst, strangerRate, maxSources),
		members:      newAllowance(memberBurst, memberRate, maxSources),
		allStrangers: newLimiter(strangersBurst, strangersRate),
		metas:        newLimiter(metaBurst, metaRate),
		answers:      newLimiter(answersBurst, answersRate),
		refutations:  newLimiter(refuteBurst, refuteRate),
		checkups:     newLimiter(checkupBurst, checkupRate),
		calls:        newAllowance(callBurst, callRate, maxSources),
		callBytes:    newAllowance(callBytesBurst, callBytesRate, maxSources),
		inquiriesOf:  newAllowance(inquiryBurst, inquiryRate, maxSources),
		inquiries:    newLimiter(inquiriesBurst, inquiriesRate),
	}
}

// late reports whether a datagram has waited for too long. What it says is
// outdated by then, and reading it would make the next ones wait.
func (g *Agent) late(waited time.Duration) bool {
	g.members.lag.note(waited, time.Now())
	if waited <= maxLag {
		return false
	}
	g.dropped.Add(1)
	return true
}

// datagram takes in what came from an endpoint; b is kept.
func (g *Agent) datagram(b []byte, from netip.AddrPort) {
	now := time.Now()
	sender := g.members.standing(from)
	if !g.mayCome(sender, from.Addr(), now) {
		g.limited.Add(1)
		return
	}
	if err := g.takeDatagram(b, from, sender, now); err != nil {
		g.refused.Add(1)
		g.notice(err, from.Addr(), now)
	}
}

func (g *Agent) mayCome(sender standing, from netip.Addr, now time.Time) bool {
	if sender != stranger {
		return g.limits.members.take(from, now)
	}
	return g.limits.strangers.take(from, now) && g.limits.allStrangers.take(now)
}

func (g *Agent) takeDatagram(b []byte, from netip.AddrPort, sender standing, now time.Time) error {
	if len(b) > maxPacket {
		return errMessage
	}
	if err := wire.CheckLabel(b); err != nil {
		return err
	}
	mode, msg := b[wire.EnvelopeSize-1], b[wire.EnvelopeSize:]
	switch {
	case mode == wire.ModePlain && g.keyring != nil:
		return errNoKeyThere
	case mode == wire.ModeSealed && g.keyring == nil:
		return errKeyThere
	case mode == wire.ModeSealed:
		var err error
		if msg, err = wire.OpenDatagram(g.keyring, msg); err != nil {
			return err
		}
	}
	if len(msg) == 0 || msg[0] != wire.TypeCompound {
		return g.message(msg, from, sender, now)
	}
	parts, ok := wire.SplitCompound(msg[1:])
	if !ok {
		return errMessage
	}
	var err error
	for _, part := range parts {
		err = errors.Join(err, g.message(part, from, sender, now))
	}
	return err
}

// message takes one message of a datagram.
func (g *Agent) message(b []byte, from netip.AddrPort, sender standing, now time.Time) error {
	if len(b) < 2 {
		return errMessage
	}
	ok := false
	switch body := b[1:]; b[0] {
	case wire.TypeQuestion:
		return g.answer(b, from, now)
	case wire.TypeProof:
		g.takeProof(b, now)
		return nil
	case wire.TypeInquiry:
		return g.takeInquiry(b, from, sender, now)
	case wire.TypePart:
		return g.takePart(b, from)
	case wire.TypePing:
		var m wire.Ping
		if m, ok = wire.ReadPing(body); ok && g.mayAnswer(m.Source, from) {
			g.deliver(m.Encode(), from)
		}
	case wire.TypeIndirect:
		var m wire.IndirectPing
		if m, ok = wire.ReadIndirect(body); ok && sender != stranger && g.mayAnswer(m.Source, from) && g.members.standing(m.Target) != stranger {
			g.deliver(m.Encode(), from)
		}
	case wire.TypeAck, wire.TypeNack:
		var seq uint32
		if seq, ok = wire.ReadAck(body); ok && sender != stranger {
			g.deliver(wire.EncodeAck(b[0], seq), from)
		}
	case wire.TypeSuspect, wire.TypeDead:
		var m wire.Accusation
		if m, ok = wire.ReadAccusation(body); ok {
			g.accusation(b[0], m, from, sender, now)
		}
	case wire.TypeAlive:
		var m wire.Member
		var rest []byte
		if m, rest, ok = wire.ReadMember(body, false); ok && len(rest) == 0 {
			return g.alive(m, from, sender, now)
		}
	case wire.TypeUser:
		if wire.IsCheckup(body) {
			if sender == stranger {
				return nil
			}
			return g.takeCheckup(body, now)
		}
		var f wire.Frame
		var err error
		if f, err = wire.ParseFrame(body); err == nil {
			ok = true
			if sender != stranger || f.Endpoint == from {
				g.deliver(b, from)
			}
		}
	case wire.TypeCompressed:
		return errCompressed
	}
	if !ok {
		return errMessage
	}
	return nil
}

// mayAnswer reports whether an answer may go to an endpoint: back, or to a
// member.
func (g *Agent) mayAnswer(source, from netip.AddrPort) bool {
	return !source.IsValid() || source == from || g.members.standing(source) != stranger
}

// deliver hands memberlist a message.
func (g *Agent) deliver(msg []byte, from netip.AddrPort) { g.transport.deliver(msg, from) }

// accuse makes memberlist spread an accusation of ours.
func (g *Agent) accuse(kind byte, a wire.Accusation) {
	a.From = g.name
	g.deliver(a.Encode(kind), g.endpoint)
}

// accusation decides about what a lease holder says about a member, and what a
// member says about itself.
func (g *Agent) accusation(kind byte, m wire.Accusation, from netip.AddrPort, sender standing, now time.Time) {
	if m.Node == g.name {
		if sender != stranger && g.limits.refutations.take(now) {
			g.deliver(m.Encode(kind), from)
		}
		return
	}
	leaving := kind == wire.TypeDead && m.Node == m.From && g.members.endpointOf(m.Node) == from
	if (sender == holder || leaving) && g.members.accused(m.Node, now) {
		g.deliver(m.Encode(kind), from)
	}
}

// alive takes an alive message of a datagram.
func (g *Agent) alive(m wire.Member, from netip.AddrPort, sender standing, now time.Time) error {
	if sender == stranger && m.At != from {
		return nil
	}
	v, err := g.member(m, false, now)
	if v == accepted {
		g.deliver(m.Encode(), from)
	}
	return err
}

// member decides about a member that gossip names.
func (g *Agent) member(m wire.Member, trusted bool, now time.Time) (verdict, error) {
	about, err := g.checkMember(m, trusted, now)
	if err != nil {
		return refused, err
	}
	ours := g.about.Load()
	if about.Node == ours.Node {
		if m.Node == g.name && about.At == g.endpoint {
			return accepted, nil // to be refuted, if it is not what we say
		}
		g.noteDuplicate(about)
		return refused, nil
	}
	v := g.members.consider(m, about, trusted, now)
	if v == asked {
		g.question(about.Node, about.At, nil, now)
	}
	return v, nil
}

// checkMember reports what is wrong with a member, or returns its meta.
func (g *Agent) checkMember(m wire.Member, trusted bool, now time.Time) (wire.Meta, error) {
	about, known := g.members.metaOf(m.Node, m.Meta)
	if !known {
		var err error
		if about, err = wire.ParseMeta(m.Meta); err != nil {
			return wire.Meta{}, errMessage
		}
		if about.Name() != m.Node || about.At != m.At {
			return wire.Meta{}, errMessage
		}
		if !trusted && !g.limits.metas.take(now) {
			return wire.Meta{}, errNoRoom
		}
		if !wire.VerifyMeta(m.Meta, about) {
			return wire.Meta{}, errMessage
		}
	}
	ours := g.about.Load()
	if err := otherNetwork(ours, about); err != nil {
		return wire.Meta{}, err
	}
	if _, ok := ours.Speaks.Common(about.Speaks); !ok {
		return wire.Meta{}, fmt.Errorf("%w: it speaks %s of the protocol, this node %s; upgrade the older one", wire.ErrOtherVersions, about.Speaks, ours.Speaks)
	}
	if !usableEndpoint(about.At, g.endpoint) || ours.Prefix.Contains(about.At.Addr()) || about.Prefix.Contains(about.At.Addr()) {
		return wire.Meta{}, errMessage
	}
	return about, nil
}

// question asks a node whether it is there. The answer goes to a channel, if
// there is one, else to the members.
func (g *Agent) question(to record.NodeID, at netip.AddrPort, answer chan<- wire.Proof, now time.Time) {
	if nonce, ok := g.questions.put(to, at, answer, now); ok {
		g.transport.send(wire.EncodeQuestion(nonce, to), at)
	}
}

// answer answers a question.
func (g *Agent) answer(b []byte, from netip.AddrPort, now time.Time) error {
	nonce, to, ok := wire.ParseQuestion(b)
	if !ok {
		return errMessage
	}
	if self := g.about.Load(); to == self.Node && g.limits.answers.take(now) {
		g.transport.send(wire.EncodeProof(nonce, *self, g.identity), from)
	}
	return nil
}

// takeProof takes in the answer to a question.
func (g *Agent) takeProof(b []byte, now time.Time) {
	p, asked, ok := g.questions.match(b, now)
	if !ok {
		return
	}
	if asked.answer != nil {
		select {
		case asked.answer <- p:
		default:
		}
		return
	}
	a := g.members.proved(p, asked, now)
	if a.in.Node != "" {
		g.deliver(a.in.Encode(), g.endpoint)
	}
	if a.out.Node != "" {
		g.accuse(wire.TypeDead, a.out)
	}
}

// notice logs why a sender was refused, not over and over.
func (g *Agent) notice(err error, from netip.Addr, now time.Time) {
	if said := refusal(err); said != "" && g.notices.due(said+from.String(), now) {
		g.log.Warn("gossip: "+said, "from", from)
	}
}

// exchange decides about one side of a push/pull. What it lets through comes in
// two pieces; the second is part of b.
func (g *Agent) exchange(b []byte, dialed bool, from netip.Addr) (head, state []byte, err error) {
	x, ok := wire.ReadExchange(b)
	if !ok {
		return nil, nil, errMessage
	}
	now := time.Now()
	trusted := dialed && g.about.Load().Network.IsZero()
	kept := x.Members[:0]
	others := false // some are let in, beside this node itself
	var why error   // why the first one is not let in
	for _, m := range x.Members {
		if m.Node != g.name && m.State != 0 {
			if g.members.accused(m.Node, now) {
				kept = append(kept, m)
			}
			continue
		}
		v, err := g.member(m, trusted, now)
		switch {
		case v == accepted:
			kept = append(kept, m)
			others = others || m.Node != g.name
		case err != nil && why == nil && !errors.Is(err, errNoRoom):
			why = err
			if !dialed && m.At.Addr() == from {
				g.notice(err, from, now)
			}
		}
	}
	if dialed && !others && why != nil {
		return nil, nil, why
	}
	x.Members = kept
	dialedBy := byte(wire.TheyDialed)
	if dialed {
		dialedBy = wire.WeDialed
	}
	return append(x.Encode(len(x.State)+1), dialedBy), x.State, nil
}

// streamMessage decides about the message of a stream. What it lets through
// comes in two pieces; the second is part of b. Without either it is refused.
func (g *Agent) streamMessage(b []byte, dialed bool, from netip.Addr) (head, tail []byte, err error) {
	if len(b) < 2 {
		return nil, nil, errMessage
	}
	body, ok := b[1:], false
	switch kind := b[0]; {
	case kind == wire.TypePushPull:
		return g.exchange(body, dialed, from)
	case kind == wire.TypeUser && !dialed:
		if tail, ok = wire.ReadUser(body); ok {
			if wire.IsCheckup(tail) && !g.knows(from) {
				return nil, nil, errMessage
			}
			return wire.EncodeUser(len(tail)), tail, nil
		}
	case kind == wire.TypePing && !dialed:
		var m wire.Ping
		if m, ok = wire.ReadPing(body); ok {
			return m.Encode(), nil, nil
		}
	case kind == wire.TypeAck && dialed:
		var seq uint32
		if seq, ok = wire.ReadAck(body); ok {
			return wire.EncodeAck(kind, seq), nil, nil
		}
	case kind == wire.TypeError && dialed:
		var text string
		if text, ok = wire.ReadError(body); ok {
			return wire.EncodeError(text), nil, nil
		}
	case kind == wire.TypeCompressed:
		return nil, nil, errCompressed
	}
	return nil, nil, errMessage
}

// frameLength reads the length in front of a frame.
func frameLength(b []byte) (uint32, error) {
	n := binary.BigEndian.Uint32(b)
	if n == 0 || n > maxStreamBytes {
		return 0, errStreamTooLong
	}
	return n, nil
}
