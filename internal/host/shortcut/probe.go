// SPDX-License-Identifier: Apache-2.0

package shortcut

// What tells probes of the short-cut from other packets; see shortcut.c.
const (
	// ProbeMark marks packets on the overlay device that must take the
	// short-cut, whatever Peer.Send is. One that cannot be carried is dropped.
	ProbeMark uint32 = 0x666c6b70
	// ProbeAsked stands in an echo request to a node's first address, behind
	// the first 8 bytes of its payload. The node's program replaces it by
	// ProbeSeen. An echo reply with that takes the short-cut back.
	ProbeAsked = "fldprobe"
	ProbeSeen  = "fldprobS"
)
