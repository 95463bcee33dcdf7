// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net/netip"
	"time"
)

// Target is a peer to prove the path to. Its functions are called with the
// prober's lock held and must not wait.
type Target struct {
	ID       string         // the caller's name for it, unique among targets
	Endpoint netip.AddrPort // on the underlay
	Lease    netip.Prefix   // the peer's overlay addresses; the first is its own
	// Longest returns the length of the longest packet that the path should
	// take, in bytes.
	Longest func() int
	// Traffic counts the overlay packets to and from the peer. Probes that this
	// node sends, and their answers, are not among them.
	Traffic func() (egress, ingress uint64)
}

// State is what is known of a path.
type State int

// The states of a path.
const (
	Unproven  State = iota // no answer yet, and not enough time for one
	Works                  // the last probes were answered
	SmallOnly              // small ones are answered, large ones are lost
	Failed                 // probes are lost
)

// Result is what the probes to one target have found.
type Result struct {
	State State
	Since time.Time     // in this state
	RTT   time.Duration // of the last probe that was answered; 0: none was
	Sent  uint64
	Lost  uint64 // not answered in time
	Size  int    // bytes of the largest probe that was answered
	Tried int    // bytes of the last large probe
	// Arriving reports whether packets come from the peer, answers or others.
	Arriving bool
	// ForwardsOnly reports that the peer answers an echo request only if its
	// time to live ends there.
	ForwardsOnly bool
	// Refused is why this host's kernel does not send to the target; nil: it
	// does.
	Refused error
}

// behind is an address that the peer has to forward packets to, unless it is
// its own. It is zero where the lease is too small to have one.
func (t *Target) behind() netip.Addr {
	if t.Lease.Bits() > 30 {
		return netip.Addr{}
	}
	return t.Lease.Addr().Next().Next()
}
