// SPDX-License-Identifier: Apache-2.0

package record

import (
	"encoding/binary"
	"hash/fnv"
)

// Parts is the number of parts a digest divides the table into: two nodes
// that differ in a few records exchange a few parts only.
const Parts = 32

// partOf assigns a record, by the hash of its key, to a part.
func partOf(kind Kind, key []byte) int {
	h := fnv.New64a()
	_, _ = h.Write([]byte{byte(kind)})
	_, _ = h.Write(key)
	return int(h.Sum64() % Parts)
}

// partOfNode is the part of a node's records, node and forget records alike.
func partOfNode(id NodeID) int { return partOf(KindNode, id[:]) }

// Digest is a hash of each part, kept up to date with every record.
type Digest [Parts]uint64

// Bytes is the digest as it travels.
func (d *Digest) Bytes() []byte {
	b := make([]byte, 0, 8*Parts)
	for _, part := range d {
		b = binary.BigEndian.AppendUint64(b, part)
	}
	return b
}

// Differing is the set of parts (bit i: part i) that are others than in a
// digest that came as bytes; not ok when those are none.
func (d *Digest) Differing(b []byte) (mask uint32, ok bool) {
	if len(b) != 8*Parts {
		return 0, false
	}
	for i, part := range d {
		if part != binary.BigEndian.Uint64(b[8*i:]) {
			mask |= 1 << i
		}
	}
	return mask, true
}

// sumOf is what a record adds to its part by exclusive or: the order of records
// does not matter.
func sumOf(raw []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(raw)
	return Mix(h.Sum64())
}

// Mix spreads a hash's bits (the finalizer of SplitMix64), so that the
// exclusive or of related records does not cancel out.
func Mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
