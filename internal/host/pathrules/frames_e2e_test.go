// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package pathrules

import (
	"encoding/binary"

	"flanneld/internal/packet"
)

// fragments cuts a packet in two after so many bytes of its payload.
func fragments(whole []byte, cut int) [][]byte {
	const header = packet.HeaderLen
	var all [][]byte
	for _, part := range []struct{ from, to int }{{0, cut}, {cut, len(whole) - header}} {
		f := append(append([]byte{}, whole[:header]...), whole[header+part.from:header+part.to]...)
		offset := uint16(part.from / 8)
		if part.from == 0 {
			offset |= packet.FlagMF
		}
		binary.BigEndian.PutUint16(f[6:], offset)
		packet.SetLength(f, len(f))
		all = append(all, f)
	}
	return all
}
