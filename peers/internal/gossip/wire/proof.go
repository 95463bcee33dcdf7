// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"crypto/ed25519"
	"encoding/binary"
	"net/netip"

	"flanneld/peers/internal/record"
)

// A node is taken to be alive because of what it has signed. A question has a
// random nonce, and the answer proves that the node is there now. The answer is
// the node's signature of the nonce, the start, the instance, the network, the
// endpoint it answers for, and its flags of the moment. memberlist's own pings
// prove nothing: a program that guesses a number can acknowledge one.
//
// A question, big endian. It is as long as its proof, so that a node sends no
// more than was sent to it:
//
//	0   1  type 200
//	1   16 nonce
//	17  16 ID of the node that is asked
//	33  .. zeros
//
// A proof:
//
//	0   1  type 201
//	1   16 nonce
//	17  32 public key
//	49  8  number of the start
//	57  8  instance
//	65  1  length of the address (4 or 16)
//	66  16 address of the endpoint, zeros behind 4
//	82  2  port
//	84  16 network ID, zero while in none
//	100 1  flags: bit 0, settled; bit 1, looking
//	101 64 signature of all before it
const (
	ProofSize   = proofHead + ed25519.SignatureSize // bytes, of a question as well
	NonceSize   = 16                                // bytes
	proofHead   = 101
	proofDomain = "proof of life"
)

// Proof is the answer to a question.
type Proof struct {
	Node     record.NodeID
	Start    uint64
	Instance uint64
	Network  record.NetworkID // zero: it is in none yet
	At       netip.AddrPort   // endpoint that the node answers for
	Settled  bool             // see [Meta]
	Looking  bool
}

// Name is the member name of the start that answers.
func (p Proof) Name() string { return MemberName(p.Node, p.Start) }

// EncodeQuestion asks a node whether it is there.
func EncodeQuestion(nonce [NonceSize]byte, to record.NodeID) []byte {
	b := make([]byte, ProofSize)
	b[0] = TypeQuestion
	copy(b[1:], nonce[:])
	copy(b[17:], to[:])
	return b
}

// ParseQuestion takes a question apart.
func ParseQuestion(b []byte) (nonce [NonceSize]byte, to record.NodeID, ok bool) {
	if len(b) < ProofSize || b[0] != TypeQuestion {
		return nonce, to, false
	}
	return [NonceSize]byte(b[1:17]), record.NodeID(b[17:33]), true
}

// EncodeProof answers a question in the name of self, signed by id.
func EncodeProof(nonce [NonceSize]byte, self Meta, id record.Identity) []byte {
	b := make([]byte, proofHead, ProofSize)
	b[0] = TypeProof
	copy(b[1:], nonce[:])
	copy(b[17:], id.Public())
	binary.BigEndian.PutUint64(b[49:], self.Start)
	binary.BigEndian.PutUint64(b[57:], self.Instance)
	addr := self.At.Addr().AsSlice()
	b[65] = byte(len(addr))
	copy(b[66:82], addr)
	binary.BigEndian.PutUint16(b[82:], self.At.Port())
	copy(b[84:100], self.Network[:])
	b[100] = self.flags()
	return append(b, id.SignStatement(proofDomain, b)...)
}

// ParseProof takes a proof apart; [VerifyProof] checks the signature.
func ParseProof(b []byte) (nonce [NonceSize]byte, p Proof, ok bool) {
	if len(b) != ProofSize || b[0] != TypeProof || b[65] != 4 && b[65] != 16 {
		return nonce, p, false
	}
	addr, ok := netip.AddrFromSlice(b[66 : 66+b[65]])
	p = Proof{
		Node:  record.NodeIDOf(b[17:49]),
		Start: binary.BigEndian.Uint64(b[49:]), Instance: binary.BigEndian.Uint64(b[57:]),
		At:      netip.AddrPortFrom(addr, binary.BigEndian.Uint16(b[82:])),
		Network: record.NetworkID(b[84:100]), Settled: b[100]&flagSettled != 0, Looking: b[100]&flagLooking != 0,
	}
	return [NonceSize]byte(b[1:17]), p, ok && p.Start <= maxStart && !addr.Is4In6()
}

// VerifyProof reports whether a parsed proof is signed by its node.
func VerifyProof(b []byte) bool {
	n := len(b) - ed25519.SignatureSize
	_, ok := record.VerifyStatement(b[17:49], proofDomain, b[:n], b[n:])
	return ok
}
