// SPDX-License-Identifier: Apache-2.0

package packetsocket

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/bpf"

	"flanneld/internal/packet"
)

// echoes is the filter of ICMP echo requests to an address, and of the replies
// from it, with one identifier. It sees packets from the network header on, of
// any protocol.
func echoes(id uint16, of netip.Addr) []bpf.Instruction {
	address := of.As4()
	const (
		version4 = 0x40
		offset   = 0x1fff // of a later fragment
		whole    = 0xffff
	)
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf0},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: version4, SkipTrue: 14},
		bpf.LoadAbsolute{Off: 9, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: packet.ICMP, SkipTrue: 12},
		bpf.LoadAbsolute{Off: 6, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: offset, SkipTrue: 10},
		bpf.LoadMemShift{Off: 0},
		bpf.LoadIndirect{Off: 4, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(id), SkipTrue: 7},
		bpf.LoadIndirect{Off: 0, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: packet.ICMPEcho, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: packet.ICMPEchoReply, SkipTrue: 4},
		bpf.LoadAbsolute{Off: 12, Size: 4},
		bpf.Jump{Skip: 1},
		bpf.LoadAbsolute{Off: 16, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: binary.BigEndian.Uint32(address[:]), SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: whole},
	}
}
