// SPDX-License-Identifier: Apache-2.0

// Package pathrules keeps an nftables table that checks what comes by kernel
// paths.
//
// The kernel's VXLAN and IPIP devices take packets from any host, and a direct
// path takes whatever comes by the underlay device. The table lets a packet
// pass that a member sent with a source in its own lease. It drops the others
// and counts them:
//
//	input       VXLAN of our VNI, and IPIP of the network's addresses: the outer
//	            source and the inner source must belong to one member; nothing
//	            comes by a container's device
//	prerouting  by the underlay device from the network: the MAC address and the
//	            source must belong to one member; then the packet is marked
//	forward     what another namespace sends to a member's tunnel is dropped
//	output      what another user than root and the daemon sends to a member's
//	            VXLAN port is dropped, unless our device sends it
//	postrouting counts what is sent to each member, and drops nothing
//
// The checks of tunnels stand where packets for this host are whole again:
// fragments hide nothing, and a packet to any address of this host is seen. The
// check of direct packets stands before iptables' raw table, where Docker drops
// what does not come by its bridge; flanneld's own rules among Docker's look
// for the mark.
//
// Members know one another by their addresses. So forward and output keep the
// containers and users of a member from passing for it, as package ports does
// for the ports of the daemon. A peer that does not announce a path has no such
// table, and must not be let in by that path.
//
// A drop in any base chain is final in nf_tables, so no rule of another table
// can let such a packet pass. Each member and path has a counter. The table is
// written by netlink in one transaction and stays when the daemon stops; the
// counts survive a restart. It needs Linux 5.7 (counters of a set's keys).
package pathrules

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"flanneld/internal/host/nft"
	"flanneld/internal/valid"
)

// ErrPlatform is the error on other systems than Linux.
var ErrPlatform = errors.New("pathrules: flanneld runs on Linux only")

// Mark is the bit that the table sets in the mark of a direct packet that
// belongs to a member, and of a packet that a user sends into the network.
// No other program is known to use it: Kubernetes has 0x4000, 0x8000 and
// (portmap) 0x2000, Calico, Weave and Tailscale have bits of 0xffff0000, Cilium
// has 0x0f00, the VPC plugin of AWS has 0x80, and operators number their own
// routing tables from 1. Rules of routing are not touched by it, unless one has
// a mask with this bit.
const Mark = 0x1000

// Names of paths, as internal/plan has them.
const (
	Direct = "direct"
	VXLAN  = "vxlan"
	IPIP   = "ipip"
)

// Sent names, in what Refused returns, what containers and users of this host
// tried to send to a tunnel of another one.
const Sent = "sent"

// paths in the order of the table.
var paths = []string{VXLAN, IPIP, Direct}

// Config is which paths are in use here.
type Config struct {
	Network  netip.Prefix // the overlay network, IPv4
	Local    netip.Addr   // this host's address on the underlay
	Underlay string       // the device that has it

	VXLAN       bool
	VXLANDevice string
	VXLANPort   uint16 // UDP
	VNI         uint32

	IPIP       bool
	IPIPDevice string

	Direct bool
}

// Peer is a host that is let in. Prefixes of peers do not overlap. A peer may
// send by the paths that it announces.
type Peer struct {
	Prefix   netip.Prefix     // sources of its packets
	Endpoint netip.Addr       // its address on the underlay
	MAC      net.HardwareAddr // the neighbor's, for direct; nil: not known, nothing passes
	Port     uint16           // UDP, of its VXLAN device
	VXLAN    bool
	IPIP     bool
	Direct   bool
}

// Key is what a Count is about: packets of a peer by one path.
type Key struct {
	Prefix netip.Prefix
	Path   string // one of Direct, VXLAN, IPIP
}

// Count is what has arrived, or was sent. A train of packets that the kernel
// has put together counts once. Bytes are those of the packet as it came, with
// the tunnel's headers, or before a tunnel adds them; from the IPv4 header on.
type Count struct{ Packets, Bytes uint64 }

// tablePrefix begins the name of the table of every flanneld.
const tablePrefix = nft.TablePrefix + "paths-"

// TableName is the name of the device's table, of family ip.
func TableName(device string) string { return tablePrefix + device }

// maxPeers bounds the sets. It is far above what a network holds.
const maxPeers = 1 << 16

// Wants reports whether any path is in use.
func (c Config) Wants() bool { return c.VXLAN || c.IPIP || c.Direct }

// Validate reports what is wrong with a configuration.
func (c Config) Validate() error {
	switch {
	case !c.Wants():
		return nil
	case !c.Network.IsValid() || !c.Network.Addr().Is4() || c.Network != c.Network.Masked():
		return fmt.Errorf("pathrules: network %s is no IPv4 network", c.Network)
	case !c.Local.Is4():
		return fmt.Errorf("pathrules: the underlay address %s is no IPv4 address", c.Local)
	case !valid.Device(c.Underlay):
		return fmt.Errorf("pathrules: rules cannot name the underlay device %q", c.Underlay)
	case c.VXLAN && (c.VXLANPort == 0 || c.VNI == 0 || c.VNI >= 1<<24):
		return fmt.Errorf("pathrules: VXLAN cannot have VNI %d and port %d", c.VNI, c.VXLANPort)
	case c.VXLAN && !valid.Device(c.VXLANDevice):
		return fmt.Errorf("pathrules: %q cannot be a device's name", c.VXLANDevice)
	case c.IPIP && !valid.Device(c.IPIPDevice):
		return fmt.Errorf("pathrules: %q cannot be a device's name", c.IPIPDevice)
	case c.Direct && c.Network.Contains(c.Local):
		return fmt.Errorf("pathrules: the underlay address %s is in the network %s", c.Local, c.Network)
	}
	return nil
}

// validate reports which peer the table cannot have.
func (c Config) validate(peers []Peer) error {
	if len(peers) > maxPeers {
		return fmt.Errorf("pathrules: %d peers are more than %d", len(peers), maxPeers)
	}
	for _, p := range peers {
		switch {
		case !p.Prefix.IsValid() || p.Prefix != p.Prefix.Masked() || p.Prefix.Bits() < c.Network.Bits() || !c.Network.Contains(p.Prefix.Addr()):
			return fmt.Errorf("pathrules: %s of a peer is no subnet of the network %s", p.Prefix, c.Network)
		case !p.Endpoint.Is4():
			return fmt.Errorf("pathrules: endpoint %s of %s is no IPv4 address", p.Endpoint, p.Prefix)
		}
	}
	return nil
}

// Names of the sets that are not a path's.
const (
	setMembers = "members"       // addresses of peers
	setVXLAN   = "vxlan-members" // addresses and ports of their VXLAN devices
	setIPIP    = "ipip-members"  // addresses of peers with IPIP
)

// keys are those of the table's sets.
type keys struct {
	// senders are what may come in, by path and by length of the prefixes: one
	// length is one set and one rule, since a rule looks for a source under one
	// mask. Those of the path receivers are what packets are sent to.
	senders map[setID]map[string]bool
	members map[string]map[string]bool // of the other sets, by name
}

// setID names a set of senders.
type setID struct {
	path string
	bits int
}

// receivers stands for a path in the names of the sets of what packets are sent
// to, by whichever path.
const receivers = "to"

func (id setID) name() string { return fmt.Sprintf("%s-%d", id.path, id.bits) }

// parseID reads the name of a set of senders.
func parseID(name string) (id setID, ok bool) {
	path, bits, _ := strings.Cut(name, "-")
	n, err := strconv.Atoi(bits)
	return setID{path, n}, err == nil && n >= 0 && n <= 32 && (path == receivers || slices.Contains(paths, path))
}

// keyLen is the length of the keys of a set of senders, in bytes.
func (id setID) keyLen() int {
	switch id.path {
	case Direct:
		return 12
	case receivers:
		return 4
	}
	return 8
}

// prefix is what the key of a set of senders is about.
func (id setID) prefix(key string) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte([]byte(key[len(key)-4:]))), id.bits)
}

func newKeys() keys {
	return keys{map[setID]map[string]bool{}, map[string]map[string]bool{setMembers: {}, setVXLAN: {}, setIPIP: {}}}
}

func (k keys) add(id setID, key string) {
	if k.senders[id] == nil {
		k.senders[id] = map[string]bool{}
	}
	k.senders[id][key] = true
}

// keysOf turns peers into keys. A path that is not in use has none.
func (c Config) keysOf(peers []Peer) keys {
	k := newKeys()
	for _, p := range peers {
		from, to, bits := nft.AddrKey(p.Endpoint), nft.AddrKey(p.Prefix.Addr()), p.Prefix.Bits()
		k.members[setMembers][from] = true
		if c.VXLAN && p.VXLAN {
			k.add(setID{VXLAN, bits}, from+to)
		}
		if c.VXLAN && p.VXLAN && p.Port != 0 {
			k.members[setVXLAN][from+nft.PortKey(p.Port)] = true
		}
		if c.IPIP && p.IPIP {
			k.add(setID{IPIP, bits}, from+to)
			k.members[setIPIP][from] = true
		}
		if c.Direct && p.Direct && len(p.MAC) == macLen {
			k.add(setID{Direct, bits}, string(p.MAC)+"\x00\x00"+to) // filled up to a register of 4 bytes
		}
		if c.VXLAN && p.VXLAN || c.IPIP && p.IPIP || c.Direct && p.Direct {
			k.add(setID{receivers, bits}, to)
		}
	}
	return k
}

// keysIn takes over what the sets of an earlier process hold, by name.
func (c Config) keysIn(sets map[string]map[string]bool) keys {
	k := newKeys()
	for name, all := range sets {
		if _, ok := k.members[name]; ok {
			k.members[name] = all
			continue
		}
		id, ok := parseID(name)
		if !ok || !c.uses(id.path) {
			continue
		}
		for key := range all {
			if len(key) == id.keyLen() {
				k.add(id, key)
			}
		}
	}
	return k
}

func (c Config) tunnels() bool { return c.VXLAN || c.IPIP }

func (c Config) uses(path string) bool {
	return map[string]bool{VXLAN: c.VXLAN, IPIP: c.IPIP, Direct: c.Direct, receivers: c.Wants()}[path]
}

// macLen is the length of an Ethernet address.
const macLen = 6
