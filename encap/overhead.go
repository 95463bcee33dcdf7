// SPDX-License-Identifier: Apache-2.0

package encap

import "net/netip"

// What stands in front of an overlay packet on the underlay, in bytes. Every
// other place asks Overhead, MaxPayload or Payload.
const (
	ipv4Header = 20 // without options; flanneld sends none
	udpHeader  = 8

	maxDatagram = 65535 // the IPv4 header has 16 bits for the length
)

// MaxPayload is the largest payload of one datagram, in bytes.
const MaxPayload = maxDatagram - ipv4Header - udpHeader

// Overhead returns what a datagram to an address adds to its payload, in bytes:
// the outer IP header and the UDP header.
func Overhead(netip.Addr) int { return ipv4Header + udpHeader }

// Payload returns the largest payload, in bytes, of a datagram to an address
// over a path of this MTU.
func Payload(mtu int, to netip.Addr) int { return min(mtu-Overhead(to), MaxPayload) }
