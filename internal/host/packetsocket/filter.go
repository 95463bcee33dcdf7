// SPDX-License-Identifier: Apache-2.0

package packetsocket

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/bpf"
)

// untaggedIPv4 begins a filter: it goes on with IPv4 packets of the device
// itself. Packets of its VLANs are seen on it, too, on the way to their own
// devices. VLAN 0 is none: such a tag has a priority only (IEEE 802.1Q).
func untaggedIPv4() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtProto},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: etherIPv4, SkipTrue: 2},
		bpf.LoadExtension{Num: bpf.ExtVLANTag},
		bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: 0x0fff, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}
}

// answers is the filter of packets that may answer a packet of a Sender: ICMP
// messages of the kinds echo reply, unreachable and time exceeded, and TCP
// resets, for one address. Of a packet in fragments it takes the first one. It
// sees packets from the IP header on.
func answers(to netip.Addr) []bpf.Instruction {
	address := to.As4()
	const (
		whole  = 0xffff
		offset = 0x1fff // of a later fragment
		reset  = 0x04
	)
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 16, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(address[:]), SkipTrue: 14},
		bpf.LoadAbsolute{Off: 6, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: offset, SkipTrue: 12},
		bpf.LoadMemShift{Off: 0},
		bpf.LoadAbsolute{Off: 9, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: protocolTCP, SkipTrue: 6},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 1, SkipTrue: 8},
		bpf.LoadIndirect{Off: 0, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 5},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 3, SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 11, SkipTrue: 3},
		bpf.RetConstant{Val: 0},
		bpf.LoadIndirect{Off: 13, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: reset, SkipTrue: 1},
		bpf.RetConstant{Val: whole},
		bpf.RetConstant{Val: 0},
	}
}
