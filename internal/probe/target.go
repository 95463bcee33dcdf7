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
	Lease    netip.Prefix   // the peer's overlay addresses
	// Own is the address that the peer's kernel answers for. Zero: the first of
	// the lease.
	Own netip.Addr
	// Way is what else the path depends on, in the caller's words. When it
	// changes, all that was found out is given up.
	Way string
	// Role is what the path is to the caller.
	Role Role
	// Longest returns the length of the longest packet that the path should
	// take, in bytes.
	Longest func() int
	// Traffic counts the overlay packets to and from the peer. Probes that this
	// node sends, and their answers, are not among them, unless Role allows it.
	Traffic func() (egress, ingress uint64)
	// Send sends a packet to the target instead of Config.Send, and leaves to
	// the device what Offload says. Nil: Config.Send does.
	Send func(packet []byte, o Offload) (fits int, err error)
	// Checksums has checksums proven, too: some probes leave checksum and
	// segmentation to the device. It needs Send.
	Checksums bool
}

// Role is what a path is to the prober's caller. It decides how often the path
// is probed.
type Role int

// The roles of a path.
const (
	// Only is the one path that there is. Nothing is gained by leaving it soon.
	Only Role = iota
	// Chosen is a path that is left when it fails: within 5 s under traffic,
	// within 40 s at rest. Probes of the peer and answers to it may be counted
	// as traffic.
	Chosen
	// Trial is a path that has failed before. A few probes decide.
	Trial
	// Reserve is a path that no traffic takes as long as another one works.
	Reserve
)

// Offload is what is left to the device that sends a packet. The zero value
// leaves nothing.
type Offload struct {
	Checksum bool // the TCP checksum; its field has the sum of the pseudo-header
	Segment  int  // payload bytes of each segment to cut into; 0: does not cut
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

// Sums is what is known of packets that leave their checksum to the device.
type Sums int

// What becomes of such packets.
const (
	SumsNotTried Sums = iota
	SumsGood          // they are answered
	SumsBroken        // they are lost, and the same with a whole checksum is answered
	SumsUnclear       // neither is answered: a filter drops them, perhaps
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
	Full  bool   // a large probe was answered since small ones are
	Sums  Sums
	// Arriving reports whether packets come from the peer, answers or others.
	Arriving bool
	// ForwardsOnly reports that the peer answers an echo request only if its
	// time to live ends there.
	ForwardsOnly bool
	// Refused is why this host's kernel does not send to the target; nil: it
	// does.
	Refused error
}

// own is the address that the peer's kernel answers for.
func (t *Target) own() netip.Addr {
	if t.Own.IsValid() {
		return t.Own
	}
	return t.Lease.Addr()
}

// behind is an address that the peer has to forward packets to, unless it is
// its own. It is zero where the lease is too small to have one.
func (t *Target) behind() netip.Addr {
	if t.Lease.Bits() > 30 {
		return netip.Addr{}
	}
	return t.Lease.Addr().Next().Next()
}

// speaks reports whether an answer from this address comes from the target: one
// of its lease or, about packets that it cannot forward, its own.
func (t *Target) speaks(a netip.Addr) bool { return t.Lease.Contains(a) || a == t.Endpoint.Addr() }
