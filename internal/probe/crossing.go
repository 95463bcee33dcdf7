// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"flanneld/internal/packet"
)

// Rhythm of a Crossing.
const (
	// crossingTime is longer than a kernel looks for a neighbor that is not
	// there: three times a second (net.ipv4.neigh.default.mcast_solicit and
	// retrans_time_ms).
	crossingTime   = 4 * time.Second
	crossingRest   = 30 * time.Second       // while all is well
	crossingAgain  = time.Second            // while something is wrong
	crossingIdle   = 5 * time.Second        // while there is nothing to cross to
	crossingSettle = 300 * time.Millisecond // after a change of rules
	crossingApart  = 5 * time.Second        // between tries on a host with permanently changing rules
	crossingMisses = 2                      // in a row, each at another address
)

// CrossingState is what a Crossing knows.
type CrossingState int

// The states of a Crossing.
const (
	NotTried  CrossingState = iota // nothing to cross to, or no answer yet
	Crosses                        // packets are forwarded
	Dropped                        // they vanish
	Forbidden                      // they are answered with an ICMP error that a filter sends
)

// CrossingConfig says how a Crossing works.
type CrossingConfig struct {
	// Source is an overlay address that no node has; answers come to it.
	Source netip.Addr
	// Pick returns an address behind the bridge, each time another one, and the
	// bridge's name; zero while there is none.
	Pick func() (netip.Addr, string)
	// Send gives a packet to this host's kernel, as if a peer had sent it.
	Send func(packet []byte) error
	// Changed, unless nil, is called after State has another answer.
	Changed func()
}

// Crossing proves that this host's kernel forwards packets from the overlay to
// a bridge, past the rules of all programs. It sends an echo request to an
// address behind the bridge. If a container has the address, it answers. If
// none has, the kernel looks for it in vain and answers "host unreachable".
// Either answer has passed all filters. Without an answer the packet was
// filtered.
type Crossing struct {
	inbox
	cfg  CrossingConfig
	soon chan struct{}

	mu     sync.Mutex
	state  CrossingState
	bridge string
}

// NewCrossing makes one.
func NewCrossing(cfg CrossingConfig) *Crossing {
	return &Crossing{inbox: newInbox(4), cfg: cfg, soon: make(chan struct{}, 1)}
}

// TrySoon makes Run try again soon, because rules have changed.
func (c *Crossing) TrySoon() {
	select {
	case c.soon <- struct{}{}:
	default:
	}
}

// State returns what is known, and the bridge that it is about.
func (c *Crossing) State() (CrossingState, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, c.bridge
}

func (c *Crossing) become(s CrossingState, bridge string) {
	c.mu.Lock()
	changed := c.state != s || c.bridge != bridge
	c.state, c.bridge = s, bridge
	c.mu.Unlock()
	if changed && c.cfg.Changed != nil {
		c.cfg.Changed()
	}
}

// Run tries until ctx ends.
func (c *Crossing) Run(ctx context.Context) {
	var sequence uint16
	missed := 0
	for ctx.Err() == nil {
		address, bridge := c.cfg.Pick()
		if !address.IsValid() {
			missed = 0
			c.become(NotTried, "")
			c.rest(ctx, crossingIdle, crossingSettle)
			continue
		}
		sequence++
		next := time.Now().Add(crossingApart)
		found := c.try(ctx, address, sequence)
		if ctx.Err() != nil {
			return
		}
		if found == Crosses {
			missed = 0
			c.become(Crosses, bridge)
			c.rest(ctx, crossingRest, max(crossingSettle, time.Until(next)))
			continue
		}
		if missed++; missed >= crossingMisses {
			c.become(found, bridge)
		}
		c.rest(ctx, crossingAgain, crossingSettle)
	}
}

// hostUnreachable is the code of an ICMP destination unreachable that a kernel
// sends when it has found no such neighbor (RFC 792). Filters send others.
const hostUnreachable = 1

// try sends one packet, waits for the answer, and returns what it says.
func (c *Crossing) try(ctx context.Context, address netip.Addr, sequence uint16) CrossingState {
	request := request{source: c.cfg.Source, destination: address, sequence: sequence, ttl: plainTTL, size: smallSize}
	_ = c.cfg.Send(c.token.build(request)) // without an effect
	late := time.NewTimer(crossingTime)
	defer late.Stop()
	for {
		select {
		case r := <-c.answers:
			switch {
			case r.sequence != sequence || r.kind == packet.ICMPTimeExceeded:
			case r.kind == packet.ICMPEchoReply || r.code == hostUnreachable:
				return Crosses
			default:
				return Forbidden
			}
		case <-late.C:
			return Dropped
		case <-ctx.Done():
			return NotTried
		}
	}
}

// rest waits for d, or, once rules have changed, for quiet.
func (c *Crossing) rest(ctx context.Context, d, quiet time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return
	case <-timer.C:
		return
	case <-c.soon:
	}
	timer.Reset(min(d, quiet))
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
