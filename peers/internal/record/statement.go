// SPDX-License-Identifier: Apache-2.0

package record

import "crypto/ed25519"

// A statement is what a node signs outside of records and messages: its member
// meta, its answer to a question, the state it sends. The domain says which; it
// is part of what is signed, so that no statement passes for one of another
// kind.

// SignStatement signs a statement; the signature has 64 bytes.
func (i Identity) SignStatement(domain string, statement []byte) []byte {
	return ed25519.Sign(i.Key, statementBytes(domain, statement))
}

// VerifyStatement reports whether the holder of a public key signed a
// statement, and returns the node ID that belongs to the key.
func VerifyStatement(key []byte, domain string, statement, sig []byte) (NodeID, bool) {
	if len(key) != ed25519.PublicKeySize || len(sig) != ed25519.SignatureSize {
		return NodeID{}, false
	}
	return NodeIDOf(key), ed25519.Verify(key, statementBytes(domain, statement), sig)
}

func statementBytes(domain string, statement []byte) []byte {
	b := make([]byte, 0, 32+len(domain)+len(statement))
	b = append(b, "flanneld statement 2\x00"...)
	b = append(b, domain...)
	b = append(b, 0)
	return append(b, statement...)
}
