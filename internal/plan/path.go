// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"crypto/sha256"

	"flanneld/internal/config"
	"flanneld/peers"
)

// A Path is how packets travel to a peer.
type Path = config.Path

// The paths; see config.
const (
	PathUDP    = config.PathUDP
	PathDirect = config.PathDirect
	PathVXLAN  = config.PathVXLAN
	PathIPIP   = config.PathIPIP

	PathShortcut = config.PathShortcut
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

// MACOf is the MAC of a node's VXLAN device: it follows from the node ID, so
// that no node has to announce it.
func MACOf(id peers.NodeID) config.MAC {
	sum := sha256.Sum256(append([]byte("flanneld vxlan"), id[:]...))
	mac := config.MAC(sum[:6])
	mac[0] = mac[0]&^multicast | locallyAdministered
	return mac
}

// Bits of the first byte of a MAC (IEEE 802).
const (
	multicast           = 1 << 0
	locallyAdministered = 1 << 1
)
