// SPDX-License-Identifier: Apache-2.0

// Package encap is the underlay edge: the UDP sockets that carry overlay
// packets between nodes, a batch of datagrams per system call.
//
// On the wire, the payload of a datagram is one raw overlay IP packet, without
// header or trailer. flannel's udp backend sends the same. The package does not
// parse it.
//
// A Conn belongs to one lane. Lanes share the local port (SO_REUSEPORT). The
// kernel spreads senders, by address and port, over the lanes and keeps a
// sender in its lane. So a Conn sends from several ports of its own, its
// sources. One source is for datagrams that the receiver should handle first,
// in its express lane.
//
// The package knows nothing of devices, peers, or routes. Its sockets exist on
// Linux only. On other systems the package builds, and Listen returns an error.
package encap
