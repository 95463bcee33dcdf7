// SPDX-License-Identifier: Apache-2.0

package plan

// A Path is how packets travel to a peer.
type Path string

// PathUDP is the user path. The lanes wrap each packet in a UDP datagram, and
// the peer's lanes unwrap it. It is always there, for every peer.
const PathUDP Path = "udp"
