// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package attack

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// label stands in front of each message and stream of the format.
const (
	label    = "flanneld 2"
	oldLabel = "flanneld" // of flanneld 0.1
)

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// nodeID is the ID that belongs to a key.
func nodeID(key ed25519.PublicKey) [16]byte {
	sum := sha256.Sum256(key)
	return [16]byte(sum[:16])
}

// memberName is what gossip calls a start of a node.
func memberName(id [16]byte, start uint64) string {
	return fmt.Sprintf("%s-%d", idEncoding.EncodeToString(id[:]), start)
}

// statement signs what a node says of itself outside of records and messages.
func statement(key ed25519.PrivateKey, domain string, b []byte) []byte {
	signed := append([]byte("flanneld statement 2\x00"), domain...)
	signed = append(append(signed, 0), b...)
	return ed25519.Sign(key, signed)
}

// memberMeta is what a member says of itself.
type memberMeta struct {
	public   ed25519.PublicKey // the node's
	start    uint64
	instance uint64
	network  [16]byte
	prefix   netip.Prefix
	at       netip.AddrPort
	flags    byte
}

// metaNetwork is where the network's ID stands in an encoded meta, and
// metaPublic the node's key.
const (
	metaPublic  = 3
	metaNetwork = 59
)

// encode signs the meta with a key, which need not be the node's.
func (m memberMeta) encode(key ed25519.PrivateKey) []byte {
	b := append([]byte{2, 2, 2}, m.public...)
	for _, n := range []uint64{m.start, 1, m.instance} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = append(append(b, m.network[:]...), m.flags)
	for _, addr := range []netip.Addr{m.at.Addr(), m.prefix.Addr()} {
		b = append(append(b, 4), addr.AsSlice()...)
		if addr == m.at.Addr() {
			b = binary.BigEndian.AppendUint16(b, m.at.Port())
		}
	}
	b = append(b, byte(m.prefix.Bits()), 0, 0)
	return append(b, statement(key, "member meta", b)...)
}

// metaSettled is the flag of a member that has been in the network for a while.
const metaSettled = 1

// parseMemberName takes a member name apart.
func parseMemberName(name string) (id [16]byte, start uint64, err error) {
	text, number, ok := strings.Cut(name, "-")
	if !ok {
		return id, 0, fmt.Errorf("member name %q", name)
	}
	b, err := idEncoding.DecodeString(text)
	if err != nil || len(b) != len(id) {
		return id, 0, fmt.Errorf("member name %q", name)
	}
	start, err = strconv.ParseUint(number, 10, 64)
	return [16]byte(b), start, err
}
