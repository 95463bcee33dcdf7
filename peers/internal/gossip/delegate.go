// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"

	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

// delegate is what memberlist calls. Most calls come with its lock held, so
// everything here copies, queues and returns. Nothing calls memberlist, and
// nothing waits.
type delegate struct{ g *Agent }

// NodeMeta implements memberlist.Delegate.
func (d delegate) NodeMeta(int) []byte { return d.g.about.Load().Encode(d.g.identity) }

// NotifyMsg implements memberlist.Delegate.
func (d delegate) NotifyMsg(msg []byte) {
	if wire.IsCheckup(msg) { // of a stream; a datagram's does not get here
		if err := d.g.takeCheckup(msg, time.Now()); err != nil {
			d.g.refused.Add(1)
		}
		return
	}
	if !d.g.messageRoom.take(len(msg)) {
		d.g.dropped.Add(1)
		return
	}
	select {
	case d.g.messages <- append([]byte(nil), msg...):
	default:
		d.g.messageRoom.give(len(msg))
		d.g.dropped.Add(1)
	}
}

// GetBroadcasts implements memberlist.Delegate.
func (d delegate) GetBroadcasts(overhead, limit int) [][]byte {
	return d.g.broadcasts.take(overhead, limit)
}

// LocalState implements memberlist.Delegate: the whole node table in a join,
// its digest between members.
func (d delegate) LocalState(join bool) []byte {
	if join {
		return *d.g.state.Load()
	}
	return *d.g.brief.Load()
}

// MergeRemoteState implements memberlist.Delegate. The buffer is ours:
// memberlist made it for this call.
func (d delegate) MergeRemoteState(buf []byte, _ bool) {
	s, ok := wire.ParseState(buf)
	ours := d.g.about.Load()
	if !ok || s.From == ours.Node {
		return
	}
	if differ(ours.Network, s.Network) {
		d.g.refused.Add(1)
		d.g.log.Debug("gossip: state of another network refused", "from", s.From.Short(), "network", s.Network.Short())
		return
	}
	if !d.g.stateRoom.take(len(buf)) {
		d.g.dropped.Add(1)
		return
	}
	select {
	case d.g.states <- s:
	default:
		d.g.stateRoom.give(len(buf))
		d.g.dropped.Add(1)
	}
}

// NotifyJoin implements memberlist.EventDelegate.
func (d delegate) NotifyJoin(n *memberlist.Node) { d.g.members.put(n) }

// NotifyUpdate implements memberlist.EventDelegate.
func (d delegate) NotifyUpdate(n *memberlist.Node) { d.g.members.put(n) }

// NotifyLeave implements memberlist.EventDelegate.
func (d delegate) NotifyLeave(n *memberlist.Node) { d.g.members.reportedDead(n.Name, time.Now()) }

// NotifyAlive implements memberlist.AliveDelegate: a member is in only if it
// has passed the gate, see [Agent.member].
func (d delegate) NotifyAlive(n *memberlist.Node) error {
	if n.Name == d.g.name || d.g.members.allowed(n.Name) {
		return nil
	}
	return errUnproven
}

var errUnproven = errors.New("it has not proven yet that it is there")

// usableEndpoint reports whether another node's gossip can be at an endpoint.
// Loopback is usable only when we are there, too.
func usableEndpoint(at, ours netip.AddrPort) bool {
	return at.Port() != 0 && checkSeedAddr(at.Addr()) == nil && at.Addr().IsLoopback() == ours.Addr().IsLoopback()
}

// otherNetwork is an error when two nodes are in different networks.
func otherNetwork(ours *wire.Meta, theirs wire.Meta) error {
	if !differ(ours.Network, theirs.Network) {
		return nil
	}
	return fmt.Errorf("%w: it is in network %s, this node in %s", errOtherNetwork, theirs.NetworkName(), ours.NetworkName())
}

// differ reports whether two nodes are in different networks. A node that is in
// none yet can join either.
func differ(one, other record.NetworkID) bool {
	return !one.IsZero() && !other.IsZero() && one != other
}

// Why a merge is refused; the texts are for people on both sides.
var (
	errOtherNetwork = errors.New("another network")
	errNoFounder    = errors.New("neither is in a network yet, and neither founds one: start one node without --join")
)

// NotifyMerge implements memberlist.MergeDelegate. memberlist calls it on both
// sides of a join, with the other side's members. A node without a network can
// join one that has one, and the other way round. Of two nodes without a
// network, neither could teach the other anything.
func (d delegate) NotifyMerge(members []*memberlist.Node) error {
	ours := d.g.about.Load()
	networked := !ours.Network.IsZero()
	for _, n := range members {
		about, err := wire.ParseMeta(n.Meta)
		if err != nil {
			return fmt.Errorf("member %q: %w", n.Name, err)
		}
		if n.State != memberlist.StateAlive {
			continue
		}
		if err := otherNetwork(ours, about); err != nil {
			return err
		}
		networked = networked || about.Node != ours.Node && !about.Network.IsZero()
	}
	if !networked && !onlySelf(members, d.g.name) {
		return errNoFounder
	}
	return nil
}

// onlySelf reports whether these are our own members: we dialed ourselves.
func onlySelf(members []*memberlist.Node, name string) bool {
	return len(members) == 1 && members[0].Name == name
}

// AckPayload implements memberlist.PingDelegate.
func (d delegate) AckPayload() []byte { return nil }

// NotifyPingComplete implements memberlist.PingDelegate.
func (d delegate) NotifyPingComplete(other *memberlist.Node, rtt time.Duration, _ []byte) {
	d.g.members.pinged(other.Name, rtt)
}
