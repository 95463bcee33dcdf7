// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"fmt"
	"net"
	"net/netip"
)

// hwaddr is a MAC address that can be compared.
type hwaddr [6]byte

func (h hwaddr) String() string { return net.HardwareAddr(h[:]).String() }

// toHWAddr converts an address; all zero where it has another length.
func toHWAddr(mac net.HardwareAddr) (h hwaddr) {
	if len(mac) == len(h) {
		copy(h[:], mac)
	}
	return h
}

// Kinds of tunnel devices, as the kernel calls them.
const (
	kindVXLAN = "vxlan"
	kindIPIP  = "ipip"
)

// device is a tunnel device. The first group cannot be changed once the device
// is made.
type device struct {
	name  string
	kind  string
	vni   uint32     // vxlan
	port  uint16     // vxlan
	local netip.Addr // both
	plain bool       // nothing is set that no flanneld sets: learning, a group, a time to live

	index      int
	alias      string
	mac        hwaddr // vxlan
	mtu        int
	up         bool
	enslaved   bool // a part of a bridge, bond or VRF
	ip6auto    bool // the kernel makes up an IPv6 link-local address
	forwarding bool
	rpFilter   int
	checksums  bool           // left to the device (tx-checksum-ip-generic)
	addrs      []netip.Prefix // IPv4
}

// same reports whether two devices differ in nothing but what can be changed.
func (d device) same(other device) bool {
	return d.name == other.name && d.kind == other.kind && d.vni == other.vni && d.port == other.port &&
		d.local == other.local && d.plain == other.plain
}

// collides reports whether the kernel takes one of two devices only, whatever
// their names.
func (d device) collides(other device) bool {
	switch {
	case d.kind != other.kind:
		return false
	case d.kind == kindVXLAN:
		return d.vni == other.vni && d.port == other.port
	}
	return d.local == other.local
}

// describe names a foreign device in an error.
func (d device) describe() string {
	if d.alias == "" {
		text := fmt.Sprintf("a %s device without flanneld's alias", d.kind)
		if d.kind == kindVXLAN || d.kind == kindIPIP {
			text += ", as flannel leaves behind"
		}
		return text
	}
	return fmt.Sprintf("a %s device with the alias %q", d.kind, d.alias)
}

// remote is where the device sends what is for a MAC address. The second group
// is what no flanneld sets.
type remote struct {
	addr netip.Addr
	port uint16 // 0: the device's own

	vni     uint32 // 0: the device's own
	via     int    // index of a device to send by; 0: as routes say
	nexthop uint32 // number of a next hop object; 0: none
	ages    bool   // the kernel forgets it
}

// neighbor is an entry of the vxlan device.
type neighbor struct {
	mac       hwaddr
	permanent bool
}

// route leads to one peer.
type route struct {
	dst    netip.Prefix
	via    netip.Addr
	dev    string
	src    netip.Addr
	mtu    int
	onlink bool
}

// entries are what belongs to peers.
type entries struct {
	neighbors map[netip.Addr]neighbor
	fdb       map[hwaddr]remote
	routes    map[netip.Prefix]route
	// taken are other programs' routes in the place of ours, in words. It is
	// only read.
	taken map[netip.Prefix]string
	// plain are those among them that have a gateway and nothing else, as
	// flannel and people make them.
	plain map[netip.Prefix]hop
}

// hop is where a route leads.
type hop struct {
	via netip.Addr
	dev string
}

func newEntries() entries {
	return entries{
		neighbors: map[netip.Addr]neighbor{}, fdb: map[hwaddr]remote{}, routes: map[netip.Prefix]route{},
		taken: map[netip.Prefix]string{}, plain: map[netip.Prefix]hop{},
	}
}
