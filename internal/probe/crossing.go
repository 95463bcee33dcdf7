// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"net/netip"
	"slices"
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
	crossingRoom   = 64                     // bridges that are tried, at most
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

// Beyond is an address behind a bridge.
type Beyond struct {
	Addr   netip.Addr
	Bridge string // its name
}

// BridgeState is what a Crossing knows of one bridge.
type BridgeState struct {
	Bridge string
	State  CrossingState
}

// CrossingConfig says how a Crossing works.
type CrossingConfig struct {
	// Source is an overlay address that no node has; answers come to it.
	Source netip.Addr
	// Pick returns an address behind each bridge, each time another one; none
	// while there is no bridge.
	Pick func() []Beyond
	// Send gives a packet to this host's kernel, as if a peer had sent it.
	Send func(packet []byte) error
	// Changed, unless nil, is called after State has another answer.
	Changed func()
}

// Crossing proves that this host's kernel forwards packets from the overlay to
// each bridge, past the rules of all programs. It sends an echo request to an
// address behind a bridge. If a container has the address, it answers. If
// none has, the kernel looks for it in vain and answers "host unreachable".
// Either answer has passed all filters. Without an answer the packet was
// filtered.
type Crossing struct {
	inbox
	cfg  CrossingConfig
	soon chan struct{}

	mu     sync.Mutex
	states []BridgeState
}

// NewCrossing makes one.
func NewCrossing(cfg CrossingConfig) *Crossing {
	return &Crossing{inbox: newInbox(crossingRoom), cfg: cfg, soon: make(chan struct{}, 1)}
}

// TrySoon makes Run try again soon, because rules have changed.
func (c *Crossing) TrySoon() {
	select {
	case c.soon <- struct{}{}:
	default:
	}
}

// States returns what is known of each bridge, in the order of Pick.
func (c *Crossing) States() []BridgeState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.states
}

func (c *Crossing) become(states []BridgeState) {
	c.mu.Lock()
	changed := !slices.Equal(c.states, states)
	c.states = states
	c.mu.Unlock()
	if changed && c.cfg.Changed != nil {
		c.cfg.Changed()
	}
}

// Run tries until ctx ends.
func (c *Crossing) Run(ctx context.Context) {
	var sequence uint16
	missed := map[string]int{} // by bridge, in a row
	for ctx.Err() == nil {
		targets := c.cfg.Pick()
		if len(targets) == 0 {
			clear(missed)
			c.become(nil)
			c.rest(ctx, crossingIdle, crossingSettle)
			continue
		}
		targets = targets[:min(len(targets), crossingRoom)]
		next := time.Now().Add(crossingApart)
		found := c.try(ctx, targets, sequence)
		sequence += uint16(len(targets))
		if ctx.Err() != nil {
			return
		}
		states, all := c.judge(targets, found, missed)
		c.become(states)
		if all {
			c.rest(ctx, crossingRest, max(crossingSettle, time.Until(next)))
			continue
		}
		c.rest(ctx, crossingAgain, crossingSettle)
	}
}

// judge turns what a try found into what is known, and reports whether all was
// well. A bridge keeps its state until it was missed often enough.
func (c *Crossing) judge(targets []Beyond, found []CrossingState, missed map[string]int) (states []BridgeState, all bool) {
	before := map[string]CrossingState{}
	for _, s := range c.States() {
		before[s.Bridge] = s.State
	}
	all = true
	for i, target := range targets {
		state := found[i]
		if state == Crosses {
			delete(missed, target.Bridge)
		} else if all = false; missed[target.Bridge]+1 < crossingMisses {
			missed[target.Bridge]++
			state = before[target.Bridge]
		}
		states = append(states, BridgeState{target.Bridge, state})
	}
	for name := range missed {
		if !slices.ContainsFunc(targets, func(t Beyond) bool { return t.Bridge == name }) {
			delete(missed, name)
		}
	}
	return states, all
}

// hostUnreachable is the code of an ICMP destination unreachable that a kernel
// sends when it has found no such neighbor (RFC 792). Filters send others.
const hostUnreachable = 1

// try sends one packet to each target, waits for the answers, and returns what
// they say. The first packet has that sequence number, each next one the next.
func (c *Crossing) try(ctx context.Context, targets []Beyond, sequence uint16) []CrossingState {
	for i, t := range targets {
		request := request{source: c.cfg.Source, destination: t.Addr, sequence: sequence + uint16(i), ttl: plainTTL, size: smallSize}
		_ = c.cfg.Send(c.token.build(request)) // without an effect
	}
	found, left := make([]CrossingState, len(targets)), len(targets)
	late := time.NewTimer(crossingTime)
	defer late.Stop()
	for left > 0 {
		select {
		case r := <-c.answers:
			i := int(r.sequence - sequence)
			if i >= len(targets) || found[i] != NotTried || r.kind == packet.ICMPTimeExceeded {
				continue
			}
			left--
			if found[i] = Forbidden; r.kind == packet.ICMPEchoReply || r.code == hostUnreachable {
				found[i] = Crosses
			}
		case <-late.C:
			for i := range found {
				if found[i] == NotTried {
					found[i] = Dropped
				}
			}
			return found
		case <-ctx.Done():
			return found
		}
	}
	return found
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
