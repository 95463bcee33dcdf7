// SPDX-License-Identifier: Apache-2.0

// Package wire is the format of gossip: what stands in datagrams and streams
// between two members.
//
// Package gossip is its only caller outside of tests. From the outside in:
//
//	envelope  label and mode in front of a datagram or a stream (protocol.go)
//	seal      encryption with the cluster key (seal.go, keyring.go)
//	messages  memberlist's messages in MessagePack, read strictly (messages.go, msgpack.go)
//	proofs    questions to a node and its signed answers (proof.go)
//	reports   inquiries to a node and the parts of its report (report.go)
//	meta      what a member says of itself, signed (meta.go)
//	frames    the core's messages inside of memberlist's (frame.go)
//	state     the node table in an exchange of state (state.go)
//
// It does no I/O and has no goroutine. Only a [Keyring] has state.
package wire
