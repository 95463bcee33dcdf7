// SPDX-License-Identifier: Apache-2.0

// Package seal seals and opens the packets of a sealed network, and agrees on
// the keys. It has no socket, no clock and no goroutine: the caller gives the
// time and carries the datagrams.
//
// From small to large:
//
//   - A stream is a numbered sequence of datagrams under one key. Each sending
//     lane has streams of its own, so that lanes share no counter.
//   - A session is the pair of keys of one handshake. Each of its streams gets
//     a key derived from them.
//   - A [Peer] is another node, with at most three sessions: the previous one,
//     which only opens, the current one, and the next one, which waits for the
//     first datagram of the peer.
//   - A [Node] is this node: its peers, its timers, and the index by which a
//     datagram finds its session.
//
// Two halves use these. Lanes seal and open with [Peer.Sending], [Stream.Seal]
// and [Node.Open]. They take no lock on the way of an ordinary packet. The slow
// path calls the other methods of a Node, which lock it.
//
// The handshake is Noise_IKpsk2_25519 with SHA-256 and either AES-256-GCM or
// ChaCha20-Poly1305 (Noise revision 34). What surrounds it follows WireGuard:
// two codes in front of any Diffie-Hellman operation, cookies under load, and
// the times of a session. The differences: message 1 names the initiator, a
// start number and a counter replace the timestamp, the node with the lower ID
// wins where both begin at once, and each stream has its own key and window.
package seal
