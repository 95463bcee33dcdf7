// SPDX-License-Identifier: Apache-2.0

package seal

import "fmt"

// Reason says why a datagram was refused.
type Reason uint8

const (
	OK Reason = iota
	// Handshake is no fault: the datagram is for Node.Handle.
	Handshake
	// Malformed datagrams are too short or too long, or of no known type.
	Malformed
	// UnknownSession: the session is of another node, has ended, or never was.
	UnknownSession
	// Replayed: the counter was accepted before, or is too old to tell.
	Replayed
	// Forged: the datagram was not sealed with the key of its stream.
	Forged
	// Expired: the session is older than 180 seconds, or the answer to a
	// handshake is too late.
	Expired

	// The other reasons are those of handshake messages.

	// WrongClusterKey: the first code was not made with a cluster key of this
	// node, or not for this node.
	WrongClusterKey
	// UnknownNode: the sender is no peer.
	UnknownNode
	// WrongKey: the static key is not that of the peer's record.
	WrongKey
	// Stale: start number and counter do not rise.
	Stale
	// RateLimited: the source has begun too many handshakes.
	RateLimited
	// Busy: under load a cookie was sent instead of an answer.
	Busy
	// Crossed: both sides began, and the handshake of this node goes on.
	Crossed
	// Unexpected: the answer belongs to no handshake that is going on.
	Unexpected

	reasons // how many there are
)

var reasonNames = [reasons]string{
	OK:              "ok",
	Handshake:       "handshake",
	Malformed:       "malformed",
	UnknownSession:  "unknown-session",
	Replayed:        "replayed",
	Forged:          "forged",
	Expired:         "expired",
	WrongClusterKey: "wrong-cluster-key",
	UnknownNode:     "unknown-node",
	WrongKey:        "wrong-key",
	Stale:           "stale",
	RateLimited:     "rate-limited",
	Busy:            "busy",
	Crossed:         "crossed",
	Unexpected:      "unexpected",
}

// String is the name for metrics and JSON.
func (r Reason) String() string {
	if r < reasons {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}
