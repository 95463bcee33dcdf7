// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"crypto/ed25519"
	"crypto/sha256"
	"slices"

	"flanneld/peers/internal/record"
)

// A push/pull's user state, big endian, behind the byte that the receiving gate
// puts there:
//
//	0   1  version of this header
//	1   32 public key of the node
//	33  16 network ID, zero while in none
//	49  64 signature of the header so far and the SHA-256 of the state
//	113 .. the core's state
const (
	stateVersion   = 2
	stateHeaderLen = 1 + ed25519.PublicKeySize + 16 + ed25519.SignatureSize
	stateDomain    = "state"
)

// The first byte of a push/pull's user state, which the receiver puts there,
// says which side dialed.
const (
	TheyDialed = 0
	WeDialed   = 1
)

// State is what another node said in a push/pull.
type State struct {
	From    record.NodeID
	Network record.NetworkID // the node's; zero: it was in none yet
	Dialed  bool             // by this node
	State   []byte           // the core's, part of what was read; empty: the node is in no network
	Size    int              // of the whole, bytes
}

// EncodeState makes the user state of a push/pull, signed by id.
func EncodeState(self Meta, id record.Identity, state []byte) []byte {
	b := append([]byte{stateVersion}, id.Public()...)
	b = append(b, self.Network[:]...)
	sum := sha256.Sum256(state)
	b = append(b, id.SignStatement(stateDomain, append(slices.Clone(b), sum[:]...))...)
	return append(b, state...)
}

// ParseState takes a user state apart. ok reports whether its node signed it.
func ParseState(b []byte) (s State, ok bool) {
	if len(b) < 1+stateHeaderLen || b[1] != stateVersion {
		return State{}, false
	}
	head, state := b[1:1+stateHeaderLen], b[1+stateHeaderLen:]
	n := stateHeaderLen - ed25519.SignatureSize
	sum := sha256.Sum256(state)
	from, ok := record.VerifyStatement(head[1:33], stateDomain, append(slices.Clone(head[:n]), sum[:]...), head[n:])
	return State{From: from, Network: record.NetworkID(head[33:49]), Dialed: b[0] == WeDialed, State: state, Size: len(b)}, ok
}
