// SPDX-License-Identifier: Apache-2.0

package core

// LeaseState is how far a node's own lease has come, for people.
type LeaseState uint8

// The states of the own lease, in the order they are passed through. Only a
// confirmed lease may be used.
const (
	LeaseNone       LeaseState = iota // none, and none being claimed: the node has left
	LeaseJoining                      // has to join before it may claim
	LeaseClaiming                     // asking the lease holders
	LeaseAnnouncing                   // decided and on disk, being told to the others
	LeaseConfirmed
	LeaseLost // went to another node, and is not released yet
)

var leaseStateNames = [...]string{
	LeaseNone: "none", LeaseJoining: "joining", LeaseClaiming: "claiming",
	LeaseAnnouncing: "announcing", LeaseConfirmed: "confirmed", LeaseLost: "lost",
}

// String returns the state's name in lower case.
func (s LeaseState) String() string { return leaseStateNames[s] }

func (c *Core) leaseState() LeaseState {
	switch c.claim.phase {
	case PhaseAsking, PhaseSaving, PhaseRevoking:
		return LeaseClaiming
	case PhaseAnnouncing, PhaseKeeping:
		return LeaseAnnouncing
	case PhaseConfirmed:
		return LeaseConfirmed
	case PhaseLost:
		return LeaseLost
	}
	if c.leaving {
		return LeaseNone
	}
	if c.table != nil && c.joinedAt >= 0 {
		return LeaseClaiming
	}
	return LeaseJoining
}
