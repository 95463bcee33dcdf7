package peers

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
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
	metaSettled = 1 << 0
	metaLooking = 1 << 1
	maxMetaSize = 512 // memberlist.MetaMaxSize
	metaDomain  = "member meta"
	maxStart    = 1 << 40
)

// meta is what a member says of itself.
type meta struct {
	node     record.NodeID
	key      [ed25519.PublicKeySize]byte
	speaks   versions
	start    uint64
	version  uint64
	instance uint64
	at       netip.AddrPort
	network  record.NetworkID // zero: in no network yet
	prefix   netip.Prefix     // of the network, for people
	settled  bool             // has been in the network for a while: see twin.go
	looking  bool             // has just been started and still looks for its twin
}

var (
	errNoMeta   = errors.New("it is no flanneld node")
	errVersions = errors.New("other protocol versions")
)

// encode makes the meta of the node whose identity it is given.
func (m meta) encode(id record.Identity) []byte {
	b := make([]byte, 0, 256)
	b = append(b, metaVersion, m.speaks.min, m.speaks.max)
	b = append(b, id.Public()...)
	b = binary.BigEndian.AppendUint64(b, m.start)
	b = binary.BigEndian.AppendUint64(b, m.version)
	b = binary.BigEndian.AppendUint64(b, m.instance)
	b = append(b, m.network[:]...)
	var flags byte
	if m.settled {
		flags |= metaSettled
	}
	if m.looking {
		flags |= metaLooking
	}
	b = append(b, flags)
	addr := m.at.Addr().AsSlice()
	b = append(append(b, byte(len(addr))), addr...)
	b = binary.BigEndian.AppendUint16(b, m.at.Port())
	if m.network.IsZero() {
		b = append(b, 0)
	} else {
		addr = m.prefix.Addr().AsSlice()
		b = append(append(b, byte(len(addr))), addr...)
		b = append(b, byte(m.prefix.Bits()))
	}
	b = append(b, 0, 0)
	return append(b, id.SignStatement(metaDomain, b)...)
}

// parseMeta reads a meta; [verifyMeta] reports whether its node signed it.
func parseMeta(b []byte) (meta, error) {
	if len(b) < metaHead+ed25519.SignatureSize || len(b) > maxMetaSize || b[0] < metaVersion {
		return meta{}, errNoMeta
	}
	m := meta{
		speaks: versions{b[1], b[2]}, key: [32]byte(b[3:35]),
		start: binary.BigEndian.Uint64(b[35:]), version: binary.BigEndian.Uint64(b[43:]), instance: binary.BigEndian.Uint64(b[51:]),
		network: record.NetworkID(b[59:75]), settled: b[75]&metaSettled != 0, looking: b[75]&metaLooking != 0,
	}
	m.node = record.NodeIDOf(m.key[:])
	rest := b[metaHead : len(b)-ed25519.SignatureSize]
	addr, rest, ok := readAddr(rest)
	if !ok || len(rest) < 2 || m.start > maxStart || m.speaks.min > m.speaks.max {
		return meta{}, errNoMeta
	}
	m.at, rest = netip.AddrPortFrom(addr, binary.BigEndian.Uint16(rest)), rest[2:]
	if m.network.IsZero() {
		if len(rest) == 0 || rest[0] != 0 {
			return meta{}, errNoMeta
		}
		rest = rest[1:]
	} else {
		if addr, rest, ok = readAddr(rest); !ok || len(rest) < 1 {
			return meta{}, errNoMeta
		}
		prefix, err := addr.Prefix(int(rest[0]))
		if err != nil || prefix.Addr() != addr {
			return meta{}, errNoMeta
		}
		m.prefix, rest = prefix, rest[1:]
	}
	if len(rest) < 2 || int(binary.BigEndian.Uint16(rest)) != len(rest)-2 {
		return meta{}, errNoMeta
	}
	return m, nil
}

// readAddr reads an address with its length in front.
func readAddr(b []byte) (addr netip.Addr, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return addr, nil, false
	}
	addr, ok = netip.AddrFromSlice(b[1 : 1+b[0]])
	return addr, b[1+b[0]:], ok && !addr.Is4In6()
}

// verifyMeta reports whether a parsed meta is signed by its node.
func verifyMeta(b []byte, m meta) bool {
	n := len(b) - ed25519.SignatureSize
	_, ok := record.VerifyStatement(m.key[:], metaDomain, b[:n], b[n:])
	return ok
}

// name is what memberlist has to call the member.
func (m meta) name() string { return memberName(m.node, m.start) }

// networkName is a network as people are told of it: prefix and the beginning of the ID.
func (m meta) networkName() string { return networkName(m.prefix, m.network) }

func networkName(prefix netip.Prefix, id record.NetworkID) string {
	return fmt.Sprintf("%s (%s)", prefix, id.Short())
}

// memberName is what memberlist calls one start of a node. Rumours are about names, so that one about an earlier start
// cannot hit a later one.
func memberName(id record.NodeID, start uint64) string {
	return id.String() + "-" + strconv.FormatUint(start, 10)
}

// parseMemberName takes a member name apart.
func parseMemberName(name string) (record.NodeID, uint64, error) {
	text, number, ok := strings.Cut(name, "-")
	if !ok {
		return record.NodeID{}, 0, errNoMeta
	}
	id, err := record.ParseNodeID(text)
	if err != nil {
		return record.NodeID{}, 0, errNoMeta
	}
	start, err := strconv.ParseUint(number, 10, 64)
	if err != nil || start > maxStart || memberName(id, start) != name {
		return record.NodeID{}, 0, errNoMeta
	}
	return id, start, nil
}
