// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package gossip

import (
	"net"
	"net/netip"
	"time"
)

// stampedUDP is a UDP socket; only on Linux it knows when a datagram came.
type stampedUDP struct{ *net.UDPConn }

func stamped(udp *net.UDPConn) Datagrams { return stampedUDP{udp} }

// Read implements [Datagrams].
func (s stampedUDP) Read(b []byte) (n int, from netip.AddrPort, waited time.Duration, err error) {
	n, from, err = s.ReadFromUDPAddrPort(b)
	return n, from, 0, err
}
