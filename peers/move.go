// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"net/netip"

	"flanneld/peers/internal/gossip"
	"flanneld/peers/internal/record"
)

// Move moves the node to another underlay address. Gossip listens at bind, on
// the same port, and advertise is announced to all (see [Config]). Lease and
// identity stay as they are, and so does what is under way. On error the node
// stays where it was, and Move may be called again. A move to the present
// address does nothing.
func (n *Node) Move(ctx context.Context, advertise, bind netip.Addr) error {
	e := n.engine.Load()
	if e == nil {
		return notRunning()
	}
	return n.do(ctx, e, func() error { return e.move(advertise, bind) })
}

// move takes the port at the new address, and puts a new member in the place of
// the present one. memberlist knows no way for a member to move, and others
// would refuse one of the same name at another address. So the new member has
// the number of a new start, which has to be durable before others hear about
// it.
func (e *engine) move(advertise, bind netip.Addr) error {
	if e.gossip.Local().Addr() == bind && e.cfg.Advertise == advertise {
		return nil
	}
	if err := e.checkMove(advertise, bind); err != nil {
		return err
	}
	port := e.gossip.Local().Port()
	transport, err := gossip.Listen(e.node.sockets, bind, port)
	if err != nil {
		return ofGossip(err)
	}
	data, gossip := netip.AddrPortFrom(advertise, e.cfg.DataPort), netip.AddrPortFrom(advertise, port)
	if !e.setAddress(data, gossip) {
		_ = transport.Shutdown()
		// The write may come about later: then it must say where this node is.
		e.core.SetAddress(e.now(), netip.AddrPortFrom(e.cfg.Advertise, e.cfg.DataPort), e.gossip.Endpoint())
		return failure(ErrState, "cannot move to %s: %s cannot be written", advertise, e.node.dir.Path())
	}
	e.log.Info("moving to another underlay address", "from", e.cfg.Advertise, "to", advertise, "bind", bind)
	e.cfg.Advertise, e.cfg.Bind = advertise, bind
	return e.replaceMember(transport, gossip)
}

// setAddress changes the core's address, and reports whether that is durable.
func (e *engine) setAddress(data, gossip netip.AddrPort) bool {
	e.core.SetAddress(e.now(), data, gossip)
	eff := e.core.Effects()
	e.logLines(eff.Log)
	e.announce(eff)
	e.tableNews, e.news = e.tableNews || eff.TableChanged, true
	e.store.SaveLease(eff.Save.Token, eff.Save.Durable)
	return e.awaitSaved(eff.Save.Token)
}

func (e *engine) checkMove(advertise, bind netip.Addr) error {
	moved := *e.cfg
	moved.Advertise, moved.Bind = advertise, bind
	if err := moved.complete(); err != nil {
		return err
	}
	switch network := e.core.Network().Prefix; {
	case bind == e.gossip.Local().Addr():
		return failure(ErrConfig, "cannot move to %s: gossip listens at %s already", advertise, bind)
	case advertise.IsLoopback() != e.cfg.Advertise.IsLoopback():
		return failure(ErrConfig, "cannot move from %s to %s: one is a loopback address", e.cfg.Advertise, advertise)
	case network.IsValid() && network.Contains(advertise):
		return failure(ErrConfig, "cannot move to %s: it lies in the network %s", advertise, network)
	}
	return nil
}

// replaceMember stops the present member and starts one at another address.
// Nodes that were up count as up until they have had the time to be met again.
// Then the new member decides.
func (e *engine) replaceMember(transport *gossip.Transport, endpoint netip.AddrPort) error {
	old := e.gossip
	g, up := old.Successor(transport, e.core.StartNumber(), endpoint)
	e.setHolders(e.core.View(), g)
	e.stopBeside()
	old.Stop()
	e.dropped += old.NotTaken()
	if e.ending = ofGossip(g.Start()); e.ending != nil {
		return e.ending
	}
	e.gossip = g
	e.watchMember(e.lifetime)
	e.core.Saved(e.now(), e.store.Newest(), nil) // announces where we are now
	e.tableNews, e.news = true, true
	e.encode()
	e.joiner.Move(g, e.gossipOf(up))
	return nil
}

// gossipOf returns where the gossip of nodes is, as far as the table says.
func (e *engine) gossipOf(nodes []record.NodeID) []netip.AddrPort {
	wanted := map[record.NodeID]bool{}
	for _, id := range nodes {
		wanted[id] = true
	}
	var endpoints []netip.AddrPort
	for _, n := range e.core.View().Nodes {
		if wanted[n.ID] {
			endpoints = append(endpoints, n.Gossip)
		}
	}
	return endpoints
}
