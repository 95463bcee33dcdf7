// SPDX-License-Identifier: Apache-2.0

package packettest

import (
	"encoding/binary"
	"fmt"
	"slices"

	"flanneld/internal/packet"
)

// Reassemble puts fragments together as their receiver does (RFC 791, section
// 3.2). They may come in any order. The result has the first fragment's header.
func Reassemble(pieces []packet.Packet) (packet.Packet, error) {
	var whole packet.Packet
	var payload []byte
	have := make(map[int]bool) // units of 8 bytes
	end := -1
	for _, p := range pieces {
		if _, err := packet.Parse(p); err != nil {
			return nil, fmt.Errorf("fragment %x: %w", []byte(p), err)
		}
		at := int(p.Flags()&packet.OffsetMask) * 8
		if at == 0 {
			whole = slices.Clone(p.Header())
		}
		if last := p.Flags()&packet.FlagMF == 0; last {
			end = at + len(p.Payload())
		} else if len(p.Payload())%8 != 0 || len(p.Payload()) == 0 {
			return nil, fmt.Errorf("a fragment of %d bytes that is not the last", len(p.Payload()))
		}
		if need := at + len(p.Payload()); need > len(payload) {
			payload = append(payload, make([]byte, need-len(payload))...)
		}
		copy(payload[at:], p.Payload())
		for unit := at / 8; unit*8 < at+len(p.Payload()); unit++ {
			if have[unit] {
				return nil, fmt.Errorf("unit %d twice", unit)
			}
			have[unit] = true
		}
	}
	if whole == nil || end != len(payload) || len(have) != (end+7)/8 {
		return nil, fmt.Errorf("incomplete: %d units, end %d, %d bytes", len(have), end, len(payload))
	}
	whole = append(whole, payload...)
	binary.BigEndian.PutUint16(whole[6:], whole.Flags()&^packet.FlagMF)
	packet.SetLength(whole, len(whole))
	return whole, nil
}
