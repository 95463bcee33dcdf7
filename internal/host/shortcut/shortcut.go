// SPDX-License-Identifier: Apache-2.0

// Package shortcut lets the kernel carry the udp format itself: three small
// programs (shortcut.c) wrap and unwrap simple packets of simple peers, and
// leave all others to user space, which stays the owner of device and socket.
package shortcut

import (
	"errors"
	"fmt"
	"net/netip"

	"flanneld/internal/problem"
	"flanneld/internal/valid"
)

const partName = problem.PartShortcut

// ErrPlatform is returned where the host is not Linux.
var ErrPlatform = errors.New("shortcut: flanneld runs on Linux only")

// Config is this host's end.
type Config struct {
	Device   string         // the overlay device
	Lease    netip.Prefix   // of this node; its first address is the device's
	Underlay string         // the device on which peers' datagrams arrive
	Endpoint netip.AddrPort // IPv4: this host's address on Underlay, and the UDP port
	MTU      int            // of Device, in bytes
}

// Peer is a route to a peer. The most specific one that contains an address
// decides. All routes to peers have to be named, also those to peers that
// packets are sent to by user space: they tell from which endpoint packets of
// that prefix may come.
type Peer struct {
	Prefix   netip.Prefix
	Endpoint netip.AddrPort // IPv4
	// Limit is the length of the longest packet that is sent, in bytes; longer
	// ones are left to user space. 0: the MTU of this host's device.
	Limit int
	// Send lets the kernel wrap packets to the peer. The peer must have
	// announced that it takes them.
	Send bool
}

// State is what the host can do.
type State struct {
	// Ready: the programs are in place, and packets of peers' programs are
	// taken. The node may announce that. The programs outlive the daemon then.
	Ready bool
	// Why is one sentence for status: why not Ready, with what to do; "" if
	// Ready, and only then.
	Why string
	// Notes are sentences about what runs differently than at best, and about
	// other programs' tc programs at the same devices.
	Notes []string
}

// Volume is an amount of traffic. Segments of a superpacket count as packets;
// bytes are those of overlay packets, with IP headers (as route.Volume).
type Volume struct{ Packets, Bytes uint64 }

// Traffic is what the kernel carried for the holder of one prefix since the
// prefix became known to this process.
type Traffic struct {
	Sent, Received Volume
	// Answers counts packets that the peer's program sent to this node's own
	// address, and that may answer a packet of this process: ICMP and TCP
	// resets. They are given to user space, so they are not in Received.
	Answers uint64
}

// Left is a number of packets that were left to user space for one reason.
type Left struct {
	Direction string // "egress", "ingress" or "bridge"
	Reason    string // lower case, words joined by hyphens
	Packets   uint64
}

const minMTU = 68 // RFC 791: every link takes 68 bytes

// validate reports what is wrong with a configuration.
func (c *Config) validate() error {
	switch {
	case !valid.Device(c.Device) || !valid.Device(c.Underlay) || c.Device == c.Underlay:
		return fmt.Errorf("shortcut: %q and %q cannot be the overlay and the underlay device", c.Device, c.Underlay)
	case !c.Lease.IsValid() || !c.Lease.Addr().Is4() || c.Lease != c.Lease.Masked():
		return fmt.Errorf("shortcut: %s is no IPv4 lease", c.Lease)
	case !c.Endpoint.Addr().Is4() || c.Endpoint.Port() == 0:
		return fmt.Errorf("shortcut: %s is no IPv4 address and port", c.Endpoint)
	case c.MTU < minMTU || c.MTU > 65535:
		return fmt.Errorf("shortcut: MTU %d is not within %d and 65535", c.MTU, minMTU)
	}
	return nil
}
