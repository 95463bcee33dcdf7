// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"

	"flanneld/internal/config"
)

// A Path is how packets travel to a peer.
type Path = config.Path

// The paths; see config.
const (
	PathUDP    = config.PathUDP
	PathDirect = config.PathDirect
	PathVXLAN  = config.PathVXLAN
	PathIPIP   = config.PathIPIP
)

// ProofState is what probes say of a path to a peer.
type ProofState int

// The states of a proof.
const (
	Unproven ProofState = iota // probes have not said anything yet
	Proven                     // the path carries packets both ways
	Failed                     // the path was left; it is tried again later
)

// String is the state as people read it, and as JSON has it.
func (s ProofState) String() string {
	switch s {
	case Proven:
		return "proven"
	case Failed:
		return "failed"
	}
	return "unproven"
}

// Proof is what probes say of a path to a peer, and why in one line.
type Proof struct {
	State ProofState
	Why   string // "": nothing to add
}

// Candidate is a path to a peer that the backend list has.
type Candidate struct {
	Path     Path
	Endpoint netip.Addr // where packets go on the underlay
	// Port is where the peer takes VXLAN or datagrams. 0: the path has none.
	Port uint16
	// MAC is the peer's VXLAN device's or, for PathDirect, the neighbor's. Nil:
	// the path has none, or the neighbor is not known.
	MAC config.MAC

	// Possible reports whether this host and the peer both have the path. Only
	// then it is worth a probe.
	Possible bool
	State    ProofState // Unproven where it is not possible
	Used     bool       // at most one is
	Why      string     // one line: why it is not possible, or what its proof says
}
