// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	mathrand "math/rand/v2"
	"net/netip"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/gossip"
	"flanneld/peers/internal/record"
	"flanneld/peers/internal/statedir"
)

// run brings the node up step by step, runs it, and takes it down in the
// reverse order. The way up has five steps. The first is the port, so that no
// other program has it. The second puts the number of the start, and a network
// founded just now, on disk before others hear about them. Then come the
// member, the search for duplicates, and only then the other nodes.
func (n *Node) run(ctx context.Context) error {
	transport, err := gossip.Listen(n.sockets, n.config.Bind, n.config.GossipPort)
	if err != nil {
		return ofGossip(err)
	}
	cfg := n.coreConfig(transport.Local().Port())
	c, err := n.newCore(cfg)
	if err != nil {
		_ = transport.Shutdown()
		return err
	}
	e := &engine{
		node: n, cfg: &n.config, log: n.log, core: c, origin: time.Now(), asleep: asleep, asleepAtBegin: asleep(), tableNews: true,
		commands: make(chan command), duplicates: make(chan gossip.Duplicate),
	}
	first, err := e.writeFirst()
	if err != nil {
		_ = transport.Shutdown()
		return err
	}
	member := gossip.Config{
		Identity: cfg.Identity, Start: c.StartNumber(), Instance: cfg.Instance, Endpoint: cfg.Gossip,
		Speaks: n.speaks, Keyring: n.keyring, Report: n.config.Report, Answer: n.config.Answer, Witness: n.config.Witness, Log: n.log,
	}
	if network := c.Network(); e.approved {
		member.Network, member.Prefix = network.ID(), network.Prefix
	}
	e.gossip = gossip.New(transport, member)
	e.setHolders(e.core.View(), e.gossip)
	if err := e.gossip.Start(); err != nil {
		return ofGossip(err)
	}
	if n.keyring == nil {
		n.log.Warn("gossip is not sealed: any host that reaches the gossip port can join; --key-file seals it", "port", cfg.Gossip.Port())
	}
	e.joiner = gossip.NewJoiner(e.gossip, n.seeds, n.sources(), n.resolver, n.log)
	if n.config.Election != nil && !c.Network().Prefix.IsValid() && !n.elected {
		e.elected = e.joiner.Elect(election{e, cfg.Identity.ID(), cfg.Gossip})
	}
	if err := e.findDuplicate(ctx, n.before.Start, n.before.Gossip); err != nil {
		e.gossip.Stop()
		return err
	}
	return e.live(ctx, first)
}

func (n *Node) coreConfig(gossipPort uint16) core.Config {
	c := &n.config
	var reserved []core.Reservation
	for _, r := range c.Reserved {
		reserved = append(reserved, core.Reservation{Subnet: r.Subnet, Endpoint: r.Endpoint})
	}
	return core.Config{
		Identity: n.last.Identity,
		Instance: randomUint64(),
		Name:     c.Name,
		Endpoint: netip.AddrPortFrom(c.Advertise, c.DataPort),
		Gossip:   netip.AddrPortFrom(c.Advertise, gossipPort),
		MTU:      uint16(c.MTU),
		Caps:     c.Caps,
		SealKey:  n.sealKey(),
		Pin:      c.Subnet,
		PinWaits: c.PinWaits,
		Reserved: reserved,
		Prefer:   c.Prefer,
		LeaseTTL: c.LeaseTTL,
		MayFound: n.mayFound(),
		Want:     record.Network{Prefix: c.Network, SubnetLen: uint8(c.SubnetLen), SubnetMin: c.SubnetMin, SubnetMax: c.SubnetMax, Sealed: c.Sealed},
		Amnesia:  n.last.Amnesia,
		Rand:     mathrand.New(mathrand.NewPCG(randomUint64(), randomUint64())),
	}
}

func randomUint64() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process first
	return binary.LittleEndian.Uint64(b[:])
}

// newCore makes the core from what the last start left; a node table that it
// cannot read is set aside.
func (n *Node) newCore(cfg core.Config) (*core.Core, error) {
	c, err := core.New(cfg, n.last.Lease, n.last.Table)
	if errors.Is(err, record.ErrMalformed) || errors.Is(err, core.ErrOtherTable) {
		if err := n.dir.DropTable(err, !n.mayFound()); err != nil {
			return nil, ofState(err)
		}
		c, err = core.New(cfg, n.last.Lease, nil)
	}
	switch {
	case errors.Is(err, core.ErrNetworkParameters):
		return nil, mismatch(err)
	case err != nil:
		return nil, failure(ErrConfig, "%v", err)
	}
	return c, nil
}

// writeFirst starts the core and writes what it wants written, here and now,
// until it wants no more. It returns the broadcasts that wait for a member to
// make them.
func (e *engine) writeFirst() ([]core.Broadcast, error) {
	e.core.Start(e.now())
	if err := e.approve(); err != nil {
		return nil, err
	}
	var waiting []core.Broadcast
	for {
		eff := e.core.Effects()
		e.logLines(eff.Log)
		if eff.Fatal != nil {
			return nil, fatal(eff.Fatal)
		}
		waiting = append(waiting, eff.Broadcasts...)
		if eff.Save == nil {
			return waiting, nil
		}
		if err := e.node.dir.Write(statedir.LeaseFile, eff.Save.Durable); err != nil {
			return nil, ofState(err)
		}
		e.core.Saved(e.now(), eff.Save.Token, nil)
	}
}

// live runs the engine and the goroutines beside it, and returns when all have
// ended.
func (e *engine) live(ctx context.Context, first []core.Broadcast) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e.store = statedir.NewStore(e.node.dir, e.log)
	e.lifetime = ctx
	e.watchMember(ctx)
	for _, b := range first {
		e.gossip.Broadcast(b.Key, b.Msg)
	}
	e.encode()
	e.news = true
	e.publish()
	e.settle()
	e.node.engine.Store(e)
	e.beside.Go(func() { e.joiner.Run(ctx) })

	err := e.run(ctx)

	e.node.engine.Store(nil)
	cancel()
	e.encode()
	e.gossip.Stop() // ends joins under way
	e.beside.Wait()
	e.store.Close()
	if errors.Is(err, errLeft) {
		return nil
	}
	return err
}

// watchMember starts the goroutines of the member. They run until ctx ends or
// [engine.replaceMember] puts another in its place.
func (e *engine) watchMember(ctx context.Context) {
	g := e.gossip
	ctx, e.stopBeside = context.WithCancel(ctx)
	e.beside.Go(func() { g.Run(ctx, e.duplicates) })
}
