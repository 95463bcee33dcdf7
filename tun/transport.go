// SPDX-License-Identifier: Apache-2.0

package tun

// Offsets in a TCP and in a UDP header.
const (
	tcpSequence = 4
	tcpFlags    = 13
	tcpChecksum = 16
	udpLength   = 4
	udpChecksum = 6
)

// TCP flags (RFC 9293, RFC 3168).
const (
	flagFIN = 0x01
	flagPSH = 0x08
	flagACK = 0x10
	flagECE = 0x40
	flagCWR = 0x80
)
