// SPDX-License-Identifier: Apache-2.0

// Package probe proves data paths by packets. A Prober sends to each peer, in
// the way and the format of container traffic, packets that the peer's kernel
// answers, whatever version or program runs there:
//
//   - an ICMP echo request (RFC 792) to the first address of the peer's lease,
//     small, and from time to time as large as the path should take;
//   - if that is not answered, also one to another address of the lease, with a
//     time to live that ends at the peer: a forwarding kernel answers with "time
//     exceeded", even if it ignores echo requests.
//
// So a probe passes this node's data socket, the underlay with all its filters,
// the peer's data socket and its checks, the peer's device and its kernel. The
// answer goes the same way back. What comes back is recognized by 80 bits that
// are random for each start of the prober, and by the address that it comes
// from.
//
// The prober knows nothing of sockets, routes and nodes. Its caller gives it
// targets, a way to send, and the ICMP packets that come in.
package probe
