// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"

	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

// Witness is what this node tells another one about itself.
type Witness struct {
	Version string // of the program; printable ASCII without blanks
	Path    string // state of the data path to the other node, likewise
	// Stray is an underlay address from which packets of the other node have
	// come lately, and which is no node's; invalid for none.
	Stray netip.Addr
}

// Checkup is what came of the questions to one node.
type Checkup struct {
	// Datagrams and Streams say what of the two arrives there, and here. There
	// is known only where some answer has come.
	Datagrams, Streams Arrivals
	// Dial is why no stream could be opened; nil: it could.
	Dial error
	Witness
	// Offset is how far the other clock is ahead of this one, and Within how
	// exact that is: half the round trip. Within 0: no answer has come.
	Offset, Within time.Duration
}

// Arrivals says which directions work.
type Arrivals struct{ There, Here bool }

// Answered reports whether any answer has come.
func (c Checkup) Answered() bool { return c.Datagrams.Here || c.Streams.Here }

const (
	// checkupFor is how long answers are waited for.
	checkupFor = 2 * time.Second
	// Checkups that are answered, of all nodes together, and a second. Each is
	// one datagram and one stream.
	checkupBurst, checkupRate = 64, 16
	maxCheckups               = 256 // under way
	checkupQueue              = 64  // answers by stream that wait
)

// checkup is a question of this node's. Its nonce belongs to both ways.
type checkup struct {
	to      record.NodeID
	answers chan<- arrival
}

// arrival is an answer, and when it came.
type arrival struct {
	wire.Checkup
	at time.Time
}

var errCheckups = errors.New("too many checkups are under way")

// Checkup asks a node, by datagram and by stream, to answer by both. at is the
// endpoint of its gossip, for a node that is no member. It waits two seconds
// for answers, until ctx ends, or until all have come. A stream that nothing
// answers takes it five seconds. A node that does not know the question does
// not answer.
func (g *Agent) Checkup(ctx context.Context, to record.NodeID, at netip.AddrPort) (c Checkup, err error) {
	answers := make(chan arrival, 4) // one for each way there and back
	nonce, ok := g.checkups.put(checkup{to, answers})
	if !ok {
		return c, errCheckups
	}
	defer g.checkups.end(nonce)
	node, ok := g.checkupNode(to, at)
	if !ok {
		return c, errors.New("where its gossip is, is not known")
	}
	ctx, cancel := context.WithTimeout(ctx, checkupFor)
	defer cancel()
	sent := time.Now()
	g.sendCheckup(g.checkupQuestion(nonce, wire.ByDatagram), addrPort(node.Addr, node.Port))
	dialed := make(chan error, 1)
	go func() { dialed <- g.list.SendReliable(&node, g.checkupQuestion(nonce, wire.ByStream)) }()
	for came := 0; came < cap(answers) && ctx.Err() == nil; {
		select {
		case a := <-answers:
			came++
			c.add(a, sent)
		case <-ctx.Done():
		}
	}
	c.Dial = <-dialed
	return c, nil
}

// sendCheckup sends one by datagram.
func (g *Agent) sendCheckup(b []byte, to netip.AddrPort) {
	g.transport.send(append([]byte{wire.TypeUser}, b...), to)
}

// answerCheckups answers by streams until Stop.
func (g *Agent) answerCheckups() {
	for {
		select {
		case s := <-g.replies:
			if err := g.list.SendReliable(&s.to, s.msg); err != nil {
				g.log.Debug("gossip: stream not sent", "to", s.to.Address(), "err", err)
			}
		case <-g.transport.ctx.Done():
			return
		}
	}
}

func (g *Agent) checkupQuestion(nonce [wire.NonceSize]byte, way wire.Way) []byte {
	return wire.Checkup{From: g.about.Load().Node, Nonce: nonce, Asked: way, At: g.endpoint}.Encode()
}

// checkupNode is where to send: to the member, else to the endpoint.
func (g *Agent) checkupNode(to record.NodeID, at netip.AddrPort) (memberlist.Node, bool) {
	if m, ok := g.members.of(to); ok {
		return m.node, true
	}
	if !usableEndpoint(at, g.endpoint) {
		return memberlist.Node{}, false
	}
	return memberlist.Node{Name: to.String(), Addr: net.IP(at.Addr().AsSlice()), Port: at.Port()}, true
}

// add notes an answer. The one with the shortest round trip says best what time
// it is there.
func (c *Checkup) add(a arrival, sent time.Time) {
	if a.Asked == wire.ByDatagram {
		c.Datagrams.There = true
	} else {
		c.Streams.There = true
	}
	if a.Way == wire.ByDatagram {
		c.Datagrams.Here = true
	} else {
		c.Streams.Here = true
	}
	c.Witness = Witness{a.Version, a.Path, a.Stray}
	within := max(a.at.Sub(sent)/2, 1)
	if c.Within == 0 || within < c.Within {
		c.Within = within
		// Wall clocks on both sides: the monotonic one is this host's alone.
		c.Offset = a.Clock.Sub(sent.Round(0).Add(within))
	}
}

// takeAnswer hands an answer to its question. Without one it is dropped.
func (g *Agent) takeAnswer(answer wire.Checkup, now time.Time) {
	q, ok := g.checkups.get(answer.Nonce)
	if !ok || q.to != answer.From {
		return
	}
	select {
	case q.answers <- arrival{answer, now}:
	default:
	}
}

// takeCheckup takes in a question or an answer. Answers go to members and lease
// holders alone, those that are dead for this node included: one of the two may
// not hear the other.
func (g *Agent) takeCheckup(b []byte, now time.Time) error {
	c, ok := wire.ParseCheckup(b)
	if !ok {
		return errMessage
	}
	if c.Answer {
		g.takeAnswer(c, now)
		return nil
	}
	to := c.At
	if g.members.standing(to) == stranger || !g.limits.checkups.take(now) {
		return nil
	}
	answer := wire.Checkup{From: g.about.Load().Node, Nonce: c.Nonce, Asked: c.Asked, Answer: true, Clock: now}
	if g.witness != nil {
		w := g.witness(c.From)
		answer.Version, answer.Path, answer.Stray = w.Version, w.Path, w.Stray
	}
	answer.Way = wire.ByDatagram
	g.sendCheckup(answer.Encode(), to)
	answer.Way = wire.ByStream
	node := memberlist.Node{Name: c.From.String(), Addr: net.IP(to.Addr().AsSlice()), Port: to.Port()}
	select {
	case g.replies <- longMessage{node, answer.Encode()}:
	default:
		g.dropped.Add(1)
	}
	return nil
}
