package peers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"flanneld/peers/internal/core"
)

// Member meta, which memberlist spreads with a member, big endian:
//
//	0   1  version of the layout
//	1   16 node ID
//	17  8  instance: random for each start
//	25  16 network ID, zero while in none
//	41  5  network: address and prefix length, zero while in none
//	46  1  flags: bit 0, settled; bit 1, looking
//	47  .. whatever a later version adds; not looked at
//
// It holds what has to be known before a member is let in, and no more: leases and endpoints live in signed records.
const (
	metaVersion = 1
	metaSize    = 1 + 16 + 8 + 16 + 5 + 1
	metaSettled = 1 << 0
	metaLooking = 1 << 1
	maxMetaSize = 512 // memberlist.MetaMaxSize
)

// meta is what a member says of itself.
type meta struct {
	node     core.NodeID
	instance uint64
	network  core.NetworkID // zero: in no network yet
	prefix   netip.Prefix   // of the network, for people
	settled  bool           // has been in the network for a while: see twin.go
	looking  bool           // has just been started and still looks for its twin
}

var errNoMeta = errors.New("it is no flanneld node")

func (m meta) encode() []byte {
	b := make([]byte, 0, metaSize)
	b = append(b, metaVersion)
	b = append(b, m.node[:]...)
	b = binary.BigEndian.AppendUint64(b, m.instance)
	b = append(b, m.network[:]...)
	addr, bits := [4]byte{}, 0
	if !m.network.IsZero() {
		addr, bits = m.prefix.Addr().As4(), m.prefix.Bits()
	}
	var flags byte
	if m.settled {
		flags |= metaSettled
	}
	if m.looking {
		flags |= metaLooking
	}
	return append(append(b, addr[:]...), byte(bits), flags)
}

func parseMeta(b []byte) (meta, error) {
	if len(b) < metaSize || len(b) > maxMetaSize || b[0] < metaVersion {
		return meta{}, errNoMeta
	}
	m := meta{
		node:     core.NodeID(b[1:17]),
		instance: binary.BigEndian.Uint64(b[17:]),
		network:  core.NetworkID(b[25:41]),
		settled:  b[46]&metaSettled != 0,
		looking:  b[46]&metaLooking != 0,
	}
	if m.node.IsZero() {
		return meta{}, errNoMeta
	}
	if m.network.IsZero() {
		return m, nil
	}
	prefix, err := netip.AddrFrom4([4]byte(b[41:45])).Prefix(int(b[45]))
	if err != nil || prefix.Addr() != netip.AddrFrom4([4]byte(b[41:45])) {
		return meta{}, errNoMeta
	}
	m.prefix = prefix
	return m, nil
}

// networkName is a network as people are told of it: prefix and the beginning of the ID.
func (m meta) networkName() string { return networkName(m.prefix, m.network) }

func networkName(prefix netip.Prefix, id core.NetworkID) string {
	return fmt.Sprintf("%s (%s)", prefix, id.Short())
}

// memberName is what memberlist calls one start of a node. Rumours are about names, so that one about an earlier start
// cannot hit a later one.
func memberName(id core.NodeID, start uint64) string {
	return id.String() + "-" + strconv.FormatUint(start, 10)
}

// parseMemberName takes a member name apart.
func parseMemberName(name string) (core.NodeID, uint64, error) {
	text, number, ok := strings.Cut(name, "-")
	if !ok {
		return core.NodeID{}, 0, errNoMeta
	}
	id, err := core.ParseNodeID(text)
	if err != nil {
		return core.NodeID{}, 0, errNoMeta
	}
	start, err := strconv.ParseUint(number, 10, 64)
	if err != nil || memberName(id, start) != name {
		return core.NodeID{}, 0, errNoMeta
	}
	return id, start, nil
}
