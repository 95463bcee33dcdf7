// SPDX-License-Identifier: Apache-2.0

//go:build linux

package rtnl

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Neighbor is a neighbor of an interface, or an entry of the forwarding
// database (FDB) of a VXLAN device.
type Neighbor struct {
	Index  int // of the interface
	Family int // AF_BRIDGE for an FDB entry
	State  int // netlink.NUD_*
	MAC    net.HardwareAddr
	// Addr is the neighbor's address. In an FDB entry it is where the device
	// sends what is for the MAC address. Zero: it is not an IPv4 address.
	Addr netip.Addr
	Port uint16 // of an FDB entry, UDP; 0: the device's own

	// More of an FDB entry, as it is read. SetNeighbor ignores this.
	VNI     uint32 // 0: the device's own
	Via     int    // index of the interface to send by; 0: as routes say
	Nexthop uint32 // number of a next hop object (Linux 5.8), in the place of Addr; 0: none
}

// Neighbors lists the IPv4 neighbors of one interface.
func Neighbors(index int) ([]Neighbor, error) {
	return dump("neighbors", func() ([]Neighbor, error) { return neighbors(unix.AF_INET, index) })
}

// FDB lists the forwarding database of one VXLAN device.
func FDB(index int) ([]Neighbor, error) {
	return dump("forwarding database", func() ([]Neighbor, error) { return neighbors(unix.AF_BRIDGE, index) })
}

// BridgeFDB lists the forwarding databases of all devices, with the port and
// the bridge of each entry.
func BridgeFDB() ([]netlink.Neigh, error) {
	return dump("forwarding databases", func() ([]netlink.Neigh, error) { return netlink.NeighList(0, unix.AF_BRIDGE) })
}

func neighbors(family, index int) ([]Neighbor, error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, unix.NLM_F_DUMP)
	request.AddData(&netlink.Ndmsg{Family: uint8(family), Index: uint32(index)})
	messages, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
	var all []Neighbor
	for _, m := range messages {
		if n, ok := ParseNeighbor(m); ok && n.Index == index && n.Family == family {
			all = append(all, n)
		}
	}
	return all, err
}

// ParseNeighbor reads the body of a message about a neighbor or an FDB entry;
// not ok for one that is too short.
func ParseNeighbor(body []byte) (n Neighbor, ok bool) {
	if len(body) < unix.SizeofNdMsg {
		return Neighbor{}, false
	}
	n = Neighbor{
		Family: int(body[0]), Index: int(int32(binary.NativeEndian.Uint32(body[4:]))), State: int(binary.NativeEndian.Uint16(body[8:])),
	}
	for rest := body[unix.SizeofNdMsg:]; len(rest) >= unix.SizeofRtAttr; {
		size := int(binary.NativeEndian.Uint16(rest))
		if size < unix.SizeofRtAttr || size > len(rest) {
			return Neighbor{}, false
		}
		n.set(binary.NativeEndian.Uint16(rest[2:])&^unix.NLA_F_NESTED, rest[unix.SizeofRtAttr:size])
		rest = rest[min((size+unix.RTA_ALIGNTO-1)&^(unix.RTA_ALIGNTO-1), len(rest)):]
	}
	return n, true
}

// set takes over one attribute.
func (n *Neighbor) set(kind uint16, value []byte) {
	switch {
	case kind == netlink.NDA_LLADDR:
		n.MAC = net.HardwareAddr(value)
	case kind == netlink.NDA_DST && len(value) == 4:
		n.Addr = Addr(value)
	case kind == netlink.NDA_PORT && len(value) == 2:
		n.Port = binary.BigEndian.Uint16(value)
	case kind == netlink.NDA_VNI && len(value) == 4:
		n.VNI = binary.NativeEndian.Uint32(value)
	case kind == netlink.NDA_IFINDEX && len(value) == 4:
		n.Via = int(int32(binary.NativeEndian.Uint32(value)))
	case kind == netlink.NDA_NH_ID && len(value) == 4:
		n.Nexthop = binary.NativeEndian.Uint32(value)
	}
}

// SetNeighbor makes or changes a permanent neighbor, by its address, or an
// FDB entry, by its MAC address.
func SetNeighbor(n Neighbor) error {
	n.State = netlink.NUD_PERMANENT
	return n.send(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, 0)
}

// DelNeighbor deletes a neighbor, by its address, or an FDB entry, by its MAC
// address. One that is not there is unix.ENOENT.
func DelNeighbor(n Neighbor) error {
	if n.Family == unix.AF_BRIDGE {
		n.Addr = netip.Addr{} // whatever it is
	}
	return n.send(unix.RTM_DELNEIGH, 0, 0)
}

// Resolve makes the kernel ask for a neighbor, as for a packet to it, and does
// not wait for the answer.
func Resolve(index int, a netip.Addr) error {
	return Neighbor{Index: index, Family: unix.AF_INET, Addr: a}.send(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE, netlink.NTF_USE)
}

func (n Neighbor) send(kind, flags int, use uint8) error {
	message := &netlink.Ndmsg{Family: uint8(n.Family), Index: uint32(n.Index), State: uint16(n.State), Flags: use}
	if n.Family == unix.AF_BRIDGE {
		message.Flags |= netlink.NTF_SELF
	}
	request := nl.NewNetlinkRequest(kind, flags|unix.NLM_F_ACK)
	request.AddData(message)
	if n.Addr.IsValid() {
		request.AddData(nl.NewRtAttr(netlink.NDA_DST, n.Addr.AsSlice()))
	}
	if len(n.MAC) > 0 {
		request.AddData(nl.NewRtAttr(netlink.NDA_LLADDR, n.MAC))
	}
	if n.Port != 0 {
		request.AddData(nl.NewRtAttr(netlink.NDA_PORT, binary.BigEndian.AppendUint16(nil, n.Port)))
	}
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	return err
}
