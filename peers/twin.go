package peers

import (
	"context"
	"net/netip"
	"time"

	"flanneld/peers/internal/gossip/wire"
)

// A twin is another live machine with this node's identity: a cloned disk, a restored backup. Two of them would fight over one
// lease for ever, so the newcomer has to find the other before it does any harm, and stop.
//
// It looks twice. Before anything else: is its last start still at work where that announced itself, if that was elsewhere? And do
// those that it knows have a member with its node ID that answers? Then it stops. And for as long as it runs, whenever gossip names
// such a member: does that one answer? Then, of the two, the one that has not been in the network for settleTime stops; of two
// newcomers the one with the lower start.

// settleTime is how long a node is a newcomer, from when it first exchanged state with another one. Where there is no
// other to be known, it is none.
const settleTime = 10 * time.Second

const (
	twinPings = 2               // tries, probeTimeout each
	twinAgain = 5 * time.Second // before the same member is pinged again
	// lookFor is how long a node that starts waits for the first of those
	// it knows to take its connection. A live one does so within
	// milliseconds; it is as long as that only where all of them are
	// switched off.
	lookFor = probeTimeout
	// lookAnswer is how long it waits for one that has taken the
	// connection: a busy host, or one that is stopped.
	lookAnswer = 2 * time.Second
)

// namesake is a member with our node ID that is not us.
type namesake struct {
	name     string
	endpoint netip.AddrPort
	start    uint64
	about    wire.Meta
}

// meet notes a namesake; about is its verified meta. One at our own address is
// an earlier start of ours: the port is ours now. One of our own instance is
// ourselves, before a move.
func (g *gossip) meet(name string, about wire.Meta) {
	ours := g.about.Load()
	if about.Node != ours.Node || about.At == g.endpoint || about.Instance == ours.Instance {
		return
	}
	select {
	case g.namesakes <- namesake{name, about.At, about.Start, about}:
	default: // it will be met again
	}
}

// answers reports whether another program with our own key is at an endpoint.
// Its proof names another instance and that endpoint. So neither an old meta
// nor a question that is passed on to us makes a twin.
func (g *gossip) answers(at netip.AddrPort) bool {
	ours := g.about.Load()
	for range twinPings {
		answer := make(chan wire.Proof, 1)
		g.question(ours.Node, at, answer, time.Now())
		select {
		case p := <-answer:
			if p.At == at && p.Instance != ours.Instance {
				return true
			}
		case <-time.After(probeTimeout):
		}
	}
	return false
}

// findTwin looks for a twin before this node has said anything of itself but that it looks: where its last start was, if that is not
// where it is now, and with the nodes it knows. A node that starts for the first time has none.
func (e *engine) findTwin(ctx context.Context, start uint64, at netip.AddrPort) error {
	g, last := e.gossip, wire.MemberName(e.core.ID(), start)
	if start == 0 {
		return nil
	}
	known := e.known()
	e.joiner.lost.Store(&known)
	moved := at.IsValid() && at != g.endpoint
	switch {
	case moved && g.answers(at):
		return twinFailure(at)
	case moved: // whoever is there now may know of a later start
		e.joiner.look(ctx, at)
	default:
		e.joiner.look(ctx)
	}
	for {
		select {
		case s := <-g.namesakes:
			if s.name == last && s.endpoint == at {
				continue // it has been asked
			}
			if g.answers(s.endpoint) { // and we are the newcomer: no node has heard of us yet
				return twinFailure(s.endpoint)
			}
		case s := <-g.states: // it is asked for again when there is something to say
			g.stateRoom.give(s.Size)
		default:
			return nil
		}
	}
}

// known is where the gossip of the other nodes in the table was, but for those that have left.
func (e *engine) known() []netip.AddrPort {
	var at []netip.AddrPort
	for _, n := range e.core.View().Nodes {
		if !n.Self && !n.Record.Left {
			at = append(at, n.Record.Gossip())
		}
	}
	return at
}

// watchTwins pings namesakes as they come up, and hands on those that live. It ends with ctx.
func (g *gossip) watchTwins(ctx context.Context, found chan<- namesake) {
	pinged := map[string]time.Time{}
	for {
		var s namesake
		select {
		case s = <-g.namesakes:
		case <-ctx.Done():
			return
		}
		if time.Since(pinged[s.name]) < twinAgain {
			continue
		}
		if len(pinged) > maxNotices {
			clear(pinged)
		}
		lives := g.answers(s.endpoint)
		pinged[s.name] = time.Now()
		if !lives {
			continue
		}
		select {
		case found <- s:
		case <-ctx.Done():
			return
		}
	}
}

// mustStop decides which of two twins stops. ours and theirs are what the two say of themselves.
func mustStop(ours wire.Meta, start uint64, theirs namesake) bool {
	switch {
	case ours.Settled, theirs.about.Looking: // it is about to find us
		return false
	case theirs.about.Settled:
		return true
	case start != theirs.start:
		return start < theirs.start
	}
	return ours.Instance < theirs.about.Instance
}

func twinFailure(at netip.AddrPort) error {
	return failure(ErrTwin, "the node at %s has this node's identity (a cloned disk, or a restored backup) and is alive: stop that one; or, to make this host a node of its own, empty its state directory and start again", at)
}
