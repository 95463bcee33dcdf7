// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/gossip"
	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/statedir"
)

// Node is this machine's membership in a network. All methods may be called
// from any goroutine.
type Node struct {
	config   Config
	log      *slog.Logger
	seeds    []gossip.Seed
	resolver gossip.Resolver
	sockets  gossip.Sockets
	traffic  gossip.Traffic
	speaks   wire.Versions
	dir      *statedir.Dir
	last     statedir.Remembered
	before   core.Remembered // what last.Lease says of the last start
	keyring  *wire.Keyring   // nil: not sealed
	elected  bool            // to found the network, in spite of seeds

	snapshot atomic.Pointer[Snapshot]
	changes  chan struct{}

	started atomic.Bool
	engine  atomic.Pointer[engine] // while it runs
	ended   chan struct{}          // closed when Run returns
}

// Open locks and reads the state directory and makes the identity where there
// is none yet. Nothing is on the network before Run. An opened Node is released
// by Run, or by Close where Run is never called.
func Open(config Config) (*Node, error) {
	n := &Node{
		config: config, log: config.Logger, resolver: net.DefaultResolver, speaks: wire.OwnVersions,
		changes: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	n.sockets = gossip.Counted(gossip.Kernel{}, &n.traffic)
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if err := n.config.complete(); err != nil {
		return nil, err
	}
	var err error
	if n.seeds, err = gossip.ParseSeeds(config.Join); err != nil {
		return nil, ofGossip(err)
	}
	if config.KeyFile != "" {
		key, err := statedir.ReadKey(config.KeyFile)
		if err != nil {
			return nil, ofState(err)
		}
		n.keyring = wire.NewKeyring(key)
	}
	if n.dir, err = statedir.Open(config.StateDir, n.log); err != nil {
		return nil, ofState(err)
	}
	if err = n.load(); err != nil {
		return nil, errors.Join(err, ofState(n.dir.Close()))
	}
	n.snapshot.Store(&Snapshot{View: View{Lease: Joining, Waiting: "starting"}, Self: n.self(n.config.GossipPort), Sealed: n.keyring != nil})
	return n, nil
}

// load reads what the last start left in the state directory.
func (n *Node) load() (err error) {
	n.last, err = n.dir.Load(!n.mayFound(), func(lease []byte) (err error) {
		n.before, err = core.Peek(lease)
		return err
	})
	return ofState(err)
}

// mayFound reports whether this node founds a network if it is in none.
func (n *Node) mayFound() bool {
	return n.elected || len(n.seeds) == 0 && len(n.config.Sources) == 0
}

// self is what this node knows about itself before the core knows more.
func (n *Node) self(gossipPort uint16) NodeInfo {
	c := &n.config
	return NodeInfo{
		ID: n.last.Identity.ID(), Name: c.Name, State: Alive, Self: true, MTU: c.MTU, Caps: c.Caps,
		Endpoint: netip.AddrPortFrom(c.Advertise, c.DataPort), Gossip: netip.AddrPortFrom(c.Advertise, gossipPort),
	}
}

// Close releases the state directory of a Node that was never run. After Run it
// does nothing.
func (n *Node) Close() error {
	if n.started.Swap(true) {
		return nil
	}
	close(n.ended)
	return ofState(n.dir.Close())
}

// Run gossips, claims a lease and keeps it, until ctx ends or Leave is done,
// and then returns nil. Any error is fatal. It may be called once. When it
// returns it leaves no socket, lock or goroutine behind. Only a probe of
// memberlist under way ends by itself within seconds.
//
// When ctx ends, the others are not told. They find this node dead within
// seconds, and keep its lease and its route. They hardly notice if it is back
// before that.
func (n *Node) Run(ctx context.Context) error {
	if n.started.Swap(true) {
		return failure(ErrNotRunning, "a node runs once, and is closed after that")
	}
	defer close(n.ended)
	err := n.run(ctx)
	if errors.Is(err, errElected) {
		n.elected = true
		if err = n.load(); err == nil {
			err = n.run(ctx)
		}
	}
	if closing := n.dir.Close(); err == nil {
		err = ofState(closing)
	}
	return err
}

// Snapshot returns the newest view, never nil.
func (n *Node) Snapshot() *Snapshot { return n.snapshot.Load() }

// Changes reports that there is a newer Snapshot. It holds one token however
// many changes there were, is for one reader, and is never closed. Round trip
// times and durations in a Snapshot move on without a token.
func (n *Node) Changes() <-chan struct{} { return n.changes }
