// SPDX-License-Identifier: Apache-2.0

package packet_test

import (
	"testing"

	"pgregory.net/rapid"

	"flanneld/internal/packet/packettest"
)

// The checksum is updated, not recomputed, on every hop (RFC 1624); the result
// must be the same.
func TestDecrementTTLKeepsTheChecksum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := packettest.Spec{
			TTL:      rapid.ByteMin(1).Draw(t, "TTL"),
			Protocol: rapid.ByteMin(1).Draw(t, "protocol"),
			ID:       rapid.Uint16().Draw(t, "ID"),
			Flags:    rapid.Uint16().Draw(t, "flags"),
			Options:  packettest.Options(t),
		}.Build()
		want := packettest.Forwarded(p)
		p.DecrementTTL()
		if string(p) != string(want) {
			t.Errorf("got %x, want %x", []byte(p), want)
		}
	})
}

// The corner that RFC 1624 corrects: an ID that makes the new checksum 0 or
// 0xffff.
func TestDecrementTTLForEveryChecksum(t *testing.T) {
	for id := range 1 << 16 {
		p := packettest.Spec{ID: uint16(id)}.Build()
		want := packettest.Forwarded(p)
		p.DecrementTTL()
		if string(p) != string(want) {
			t.Fatalf("ID %d: got %x, want %x", id, []byte(p), want)
		}
	}
}
