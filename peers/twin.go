package peers

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// A twin is another live machine with this node's identity: a cloned disk, a restored backup. Two of them would fight over one
// lease for ever, so the newcomer has to find the other before it does any harm, and stop.
//
// It looks twice. Before anything else, where its address is not the one its last start announced: is that start still there? Then
// it stops. And for as long as it runs, whenever gossip names a member with its node ID at another address: does that one answer?
// Then, of the two, the one that has not been in the network for settleTime stops; of two newcomers the one with the lower start.

// settleTime is how long a node is a newcomer, from when it first exchanged state with another one. Where there is no
// other to be known, it is none.
const settleTime = 10 * time.Second

const (
	twinPings = 2               // tries, probeTimeout each
	twinAgain = 5 * time.Second // before the same member is pinged again
)

// namesake is a member with our node ID that is not us.
type namesake struct {
	name     string
	endpoint netip.AddrPort
	start    uint64
	about    meta
}

// meet notes a namesake; memberlist's lock is held. One at our own address is an earlier start of ours: the port is ours now. One of
// our own instance is ourselves, before a move.
func (g *gossip) meet(n *memberlist.Node, about meta) {
	_, start, err := parseMemberName(n.Name)
	at, ours := addrPort(n.Addr, n.Port), g.about.Load()
	if err != nil || about.node != ours.node || at == g.endpoint || about.instance == ours.instance {
		return
	}
	select {
	case g.namesakes <- namesake{n.Name, at, start, about}:
	default: // it will be met again
	}
}

// answers pings a member by its name: anyone else at that address keeps silent.
func (g *gossip) answers(name string, at netip.AddrPort) bool {
	for range twinPings {
		if _, err := g.list.Ping(name, net.UDPAddrFromAddrPort(at)); err == nil {
			return true
		}
	}
	return false
}

// findTwin looks for a twin where the last start of this node was, if that is not where we are now. Whoever answers there under that
// start's name is one. Somebody else who answers may know of one that has been restarted since: his members say.
func (e *engine) findTwin(start uint64, at netip.AddrPort) error {
	g := e.gossip
	if start == 0 || !at.IsValid() || at == g.endpoint || !g.answers("", at) {
		return nil // an empty name is anyone's
	}
	if g.answers(memberName(e.core.ID(), start), at) {
		return twinFailure(at)
	}
	_ = e.joiner.join(at)
	for {
		select {
		case s := <-g.namesakes:
			if g.answers(s.name, s.endpoint) { // and we are the newcomer: nobody has heard of us yet
				return twinFailure(s.endpoint)
			}
		default:
			return nil
		}
	}
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
		lives := g.answers(s.name, s.endpoint)
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
func mustStop(ours meta, start uint64, theirs namesake) bool {
	switch {
	case ours.settled, theirs.about.looking: // it is about to find us
		return false
	case theirs.about.settled:
		return true
	case start != theirs.start:
		return start < theirs.start
	}
	return ours.instance < theirs.about.instance
}

func twinFailure(at netip.AddrPort) error {
	return failure(ErrTwin, "the node at %s has this node's identity (a cloned disk, or a restored backup) and is alive: stop that one; or, to make this host a node of its own, empty its state directory and start again", at)
}
