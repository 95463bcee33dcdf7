// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"errors"
	"net/netip"

	"flanneld/peers/internal/gossip"
)

// A node with seeds joins, or waits. With an [Election] one of several nodes
// that all wait founds the network. It ends its life as a guest, which was in
// no network, and begins again as a founder. So founding has one way: at the
// start, on disk before any other node hears about it.

// errElected ends the engine of a guest that is to found the network.
var errElected = errors.New("elected to found the network")

// election asks the election of the configuration, in the joiner's words.
type election struct {
	engine *engine
	id     NodeID
	at     netip.AddrPort
}

// MayFound is called by the joiner's goroutine. What cannot be right, whatever
// time passes, ends the node.
func (q election) MayFound(ctx context.Context) (yes bool, reason string, err error) {
	yes, reason, err = q.engine.cfg.Election.MayFound(ctx, q.id, q.at)
	if errors.Is(err, ErrConfig) {
		q.engine.command(ctx, func() error { q.engine.ending = err; return err })
	}
	return yes, reason, err
}

// command runs f on the core's goroutine, unless the node ends first.
func (e *engine) command(ctx context.Context, f func() error) {
	select {
	case e.commands <- command{f, make(chan error, 1)}:
	case <-ctx.Done():
	case <-e.lifetime.Done():
	}
}

// found ends the guest, unless it has entered a network after all.
func (e *engine) found() error {
	if e.core.Network().Prefix.IsValid() {
		return nil
	}
	return errElected
}

// sources are asked for seeds. A founder asks none: the other nodes look for
// it.
func (n *Node) sources() []gossip.Source {
	if n.elected {
		return nil
	}
	return n.config.Sources
}
