// SPDX-License-Identifier: Apache-2.0

package encap

// Offloads are the ways to hand many datagrams to the kernel, or take them, as
// one train, which crosses the network stack in one piece. On the wire a train
// is ordinary datagrams.
type Offloads struct {
	// Send cuts trains as late as possible (UDP_SEGMENT, Linux 4.18).
	Send bool

	// Receive takes datagrams of one sender together (UDP_GRO, Linux 5.0).
	Receive bool
}

// OffloadState is the state of one offload.
type OffloadState struct {
	Name string // stable: udp-gso, udp-gro
	Used bool
	Note string // why not, or empty
}

const noteOff = "switched off"
