// SPDX-License-Identifier: Apache-2.0

// Package packetsocket sends and receives single IP packets beside the kernel's
// routes and packet filters.
//
// A Sender puts a packet on one device, in a frame to one Ethernet address, so
// that a path can be tried which no route leads to yet. It can leave checksum
// and segmentation to the device, as the kernel's TCP does. Receive takes the
// answers to such packets from a device before any filter sees them: rules such
// as "ct state invalid drop" know nothing of packets that were sent so. Echoes
// watches for packets of a trace.
//
// Both need CAP_NET_RAW.
package packetsocket

import "errors"

// Errors of a Sender.
var (
	// ErrTooLong: the packet is longer than the device or the path takes.
	ErrTooLong = errors.New("packet too long for the path")
	// ErrPacket: these bytes are no IPv4 packet, or one with a checksum that
	// cannot be left to the device.
	ErrPacket = errors.New("not a packet that can be sent so")
	// ErrAddress: no frame can have this destination.
	ErrAddress = errors.New("not an Ethernet address of a host")
)
