// SPDX-License-Identifier: Apache-2.0

// Package tun is the overlay edge: the TUN device and its queues.
//
// The kernel routes every packet for the overlay network into the device. Each
// queue of the device is one descriptor. Packets read from a queue are on their
// way out (egress), packets written to it came in (ingress).
//
// From small to large:
//
//	packet   one overlay IP packet, without any header in front
//	slot     memory for one packet, with Headroom in front of it
//	batch    the packets that one Read drained from a queue
//	queue    one descriptor of the device; one lane owns it
//	device   the kernel's network interface; it outlives the process
//
// The package knows nothing of the underlay, of peers, or of routes. The device
// exists on Linux only; on other systems the package builds, and Open
// returns an error.
package tun
