// SPDX-License-Identifier: Apache-2.0

package record

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
)

// ClaimID numbers a claim of a node: the n-th of a start. It grows with both,
// also over restarts. The zero value is no claim. On the wire, on disk and in
// signatures it is one number, see Number.
type ClaimID struct {
	Start uint64 // of the claimant, at most MaxCounter
	N     uint32 // counted within the start, at most 1<<20 - 1
}

// claimBits is how many bits of a claim's number count the claims of one start.
const claimBits = 20

// NewClaimID is the ID of the n-th claim of a start. Claims beyond the greatest
// number share it.
func NewClaimID(start uint64, n uint32) ClaimID {
	return ClaimID{start, min(n, 1<<claimBits-1)}
}

// ClaimIDOf is the ID that has a number.
func ClaimIDOf(number uint64) ClaimID {
	return ClaimID{number >> claimBits, uint32(number & (1<<claimBits - 1))}
}

// Number is the ID as one number, which grows as the ID does.
func (id ClaimID) Number() uint64 { return id.Start<<claimBits | uint64(id.N) }

// IsZero reports whether the ID names no claim.
func (id ClaimID) IsZero() bool { return id == ClaimID{} }

// Compare orders the claims of one node: -1, 0 or 1.
func (id ClaimID) Compare(o ClaimID) int { return cmp.Compare(id.Number(), o.Number()) }

// Validate refuses an ID with a start out of bounds.
func (id ClaimID) Validate() error {
	if id.Start > MaxCounter {
		return fmt.Errorf("claim of start %d, which is above %d", id.Start, uint64(MaxCounter))
	}
	return nil
}

// MarshalCBOR encodes the number as an unsigned integer (RFC 8949 section 3.1).
func (id ClaimID) MarshalCBOR() ([]byte, error) {
	switch n := id.Number(); {
	case n < 24:
		return []byte{byte(n)}, nil
	case n < 1<<8:
		return []byte{24, byte(n)}, nil
	case n < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{25}, uint16(n)), nil
	case n < 1<<32:
		return binary.BigEndian.AppendUint32([]byte{26}, uint32(n)), nil
	default:
		return binary.BigEndian.AppendUint64([]byte{27}, n), nil
	}
}

var errClaimID = errors.New("a claim's number is an unsigned integer")

// UnmarshalCBOR decodes an unsigned integer; null leaves the ID as it is.
func (id *ClaimID) UnmarshalCBOR(b []byte) error {
	const null, undefined = 0xf6, 0xf7
	if len(b) == 1 && (b[0] == null || b[0] == undefined) {
		return nil
	}
	var n uint64
	switch {
	case len(b) == 1 && b[0] < 24:
		n = uint64(b[0])
	case len(b) == 2 && b[0] == 24:
		n = uint64(b[1])
	case len(b) == 3 && b[0] == 25:
		n = uint64(binary.BigEndian.Uint16(b[1:]))
	case len(b) == 5 && b[0] == 26:
		n = uint64(binary.BigEndian.Uint32(b[1:]))
	case len(b) == 9 && b[0] == 27:
		n = binary.BigEndian.Uint64(b[1:])
	default:
		return errClaimID
	}
	*id = ClaimIDOf(n)
	return nil
}
