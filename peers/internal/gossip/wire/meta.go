// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"flanneld/peers/internal/record"
)

// Member meta, which memberlist spreads with a member, big endian:
//
//	0    1  version of the layout
//	1    2  lowest and highest protocol version that the member speaks
//	3    32 public key (Ed25519); the node ID is derived from it
//	35   8  number of the start
//	43   8  version: rises with each change within the start
//	51   8  instance: random for each start
//	59   16 network ID, zero while in none
//	75   1  flags: bit 0, settled; bit 1, looking
//	76   .. endpoint of the member's gossip: length of the address (4 or 16),
//	        address, port of 2 bytes
//	..   .. network: length of the address (0 while in none), address, prefix
//	        length of 1 byte
//	..   2  length of what a later version adds, and that; not looked at
//	..   64 signature of all before it, see record.Identity.SignStatement
//
// It holds what has to be known before a member is let in, and no more: leases
// and endpoints live in signed records. A node that passes it on cannot change
// it, and it fits no other name, start or endpoint.
const (
	metaVersion = 2
	metaHead    = 1 + 2 + ed25519.PublicKeySize + 8 + 8 + 8 + 16 + 1
	flagSettled = 1 << 0
	flagLooking = 1 << 1
	maxMetaSize = 512 // memberlist.MetaMaxSize
	metaDomain  = "member meta"
	maxStart    = 1 << 40
)

// Meta is what a member says of itself.
type Meta struct {
	Node     record.NodeID
	Key      [ed25519.PublicKeySize]byte
	Speaks   Versions
	Start    uint64
	Version  uint64
	Instance uint64
	At       netip.AddrPort
	Network  record.NetworkID // zero: in no network yet
	Prefix   netip.Prefix     // of the network, for people
	Settled  bool             // has been in the network for a while
	Looking  bool             // has just been started and still looks for duplicates
}

// Encode makes the meta of a node, signed with its identity.
func (m Meta) Encode(id record.Identity) []byte {
	b := make([]byte, 0, 256)
	b = append(b, metaVersion, m.Speaks.Min, m.Speaks.Max)
	b = append(b, id.Public()...)
	b = binary.BigEndian.AppendUint64(b, m.Start)
	b = binary.BigEndian.AppendUint64(b, m.Version)
	b = binary.BigEndian.AppendUint64(b, m.Instance)
	b = append(b, m.Network[:]...)
	b = append(b, m.flags())
	addr := m.At.Addr().AsSlice()
	b = append(append(b, byte(len(addr))), addr...)
	b = binary.BigEndian.AppendUint16(b, m.At.Port())
	if m.Network.IsZero() {
		b = append(b, 0)
	} else {
		addr = m.Prefix.Addr().AsSlice()
		b = append(append(b, byte(len(addr))), addr...)
		b = append(b, byte(m.Prefix.Bits()))
	}
	b = append(b, 0, 0)
	return append(b, id.SignStatement(metaDomain, b)...)
}

// flags are the bits of Settled and Looking.
func (m Meta) flags() (flags byte) {
	if m.Settled {
		flags |= flagSettled
	}
	if m.Looking {
		flags |= flagLooking
	}
	return flags
}

// ParseMeta reads a meta; [VerifyMeta] reports whether its node signed it. The
// error is [ErrNoNode].
func ParseMeta(b []byte) (Meta, error) {
	if len(b) < metaHead+ed25519.SignatureSize || len(b) > maxMetaSize || b[0] < metaVersion {
		return Meta{}, ErrNoNode
	}
	m := Meta{
		Speaks: Versions{b[1], b[2]}, Key: [32]byte(b[3:35]),
		Start: binary.BigEndian.Uint64(b[35:]), Version: binary.BigEndian.Uint64(b[43:]), Instance: binary.BigEndian.Uint64(b[51:]),
		Network: record.NetworkID(b[59:75]), Settled: b[75]&flagSettled != 0, Looking: b[75]&flagLooking != 0,
	}
	m.Node = record.NodeIDOf(m.Key[:])
	rest := b[metaHead : len(b)-ed25519.SignatureSize]
	addr, rest, ok := readAddr(rest)
	if !ok || len(rest) < 2 || m.Start > maxStart || m.Speaks.Min > m.Speaks.Max {
		return Meta{}, ErrNoNode
	}
	m.At, rest = netip.AddrPortFrom(addr, binary.BigEndian.Uint16(rest)), rest[2:]
	if m.Network.IsZero() {
		if len(rest) == 0 || rest[0] != 0 {
			return Meta{}, ErrNoNode
		}
		rest = rest[1:]
	} else {
		if addr, rest, ok = readAddr(rest); !ok || len(rest) < 1 {
			return Meta{}, ErrNoNode
		}
		prefix, err := addr.Prefix(int(rest[0]))
		if err != nil || prefix.Addr() != addr {
			return Meta{}, ErrNoNode
		}
		m.Prefix, rest = prefix, rest[1:]
	}
	if len(rest) < 2 || int(binary.BigEndian.Uint16(rest)) != len(rest)-2 {
		return Meta{}, ErrNoNode
	}
	return m, nil
}

// readAddr reads an address with its length in front.
func readAddr(b []byte) (addr netip.Addr, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return addr, nil, false
	}
	end := 1 + int(b[0])
	addr, ok = netip.AddrFromSlice(b[1:end])
	return addr, b[end:], ok && !addr.Is4In6()
}

// VerifyMeta reports whether a parsed meta is signed by its node.
func VerifyMeta(b []byte, m Meta) bool {
	n := len(b) - ed25519.SignatureSize
	_, ok := record.VerifyStatement(m.Key[:], metaDomain, b[:n], b[n:])
	return ok
}

// Name is what memberlist has to call the member.
func (m Meta) Name() string { return MemberName(m.Node, m.Start) }

// NetworkName names the network for people: its prefix and the beginning of its
// ID.
func (m Meta) NetworkName() string { return fmt.Sprintf("%s (%s)", m.Prefix, m.Network.Short()) }

// MemberName is what memberlist calls one start of a node. Gossip names
// members, so news about an earlier start cannot hit a later one.
func MemberName(id record.NodeID, start uint64) string {
	return id.String() + "-" + strconv.FormatUint(start, 10)
}

// ParseMemberName takes a member name apart.
func ParseMemberName(name string) (record.NodeID, uint64, error) {
	text, number, ok := strings.Cut(name, "-")
	if !ok {
		return record.NodeID{}, 0, ErrNoNode
	}
	id, err := record.ParseNodeID(text)
	if err != nil {
		return record.NodeID{}, 0, ErrNoNode
	}
	start, err := strconv.ParseUint(number, 10, 64)
	if err != nil || start > maxStart || MemberName(id, start) != name {
		return record.NodeID{}, 0, ErrNoNode
	}
	return id, start, nil
}
