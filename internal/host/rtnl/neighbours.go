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

// Neighbours lists the IPv4 neighbours of one interface, by its index.
func Neighbours(index int) ([]netlink.Neigh, error) {
	return dump("neighbours", func() ([]netlink.Neigh, error) {
		return netlink.NeighList(index, unix.AF_INET)
	})
}

// FDBEntry is where a VXLAN device sends what is for a MAC address.
type FDBEntry struct {
	MAC  net.HardwareAddr
	Addr netip.Addr // zero: it is not an IPv4 address
	Port uint16     // UDP; 0: the device's own
}

// FDB lists the forwarding database of one VXLAN device, by its index.
func FDB(index int) ([]FDBEntry, error) {
	return dump("forwarding database", func() ([]FDBEntry, error) {
		request := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, unix.NLM_F_DUMP)
		request.AddData(&netlink.Ndmsg{Family: unix.AF_BRIDGE, Index: uint32(index)})
		messages, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
		var all []FDBEntry
		for _, m := range messages {
			if e, of := parseFDB(m); of == index {
				all = append(all, e)
			}
		}
		return all, err
	})
}

// parseFDB reads one entry and the index of its interface; 0 for a message that
// is none.
func parseFDB(m []byte) (e FDBEntry, index int) {
	const header = unix.SizeofNdMsg
	if len(m) < header || m[0] != unix.AF_BRIDGE {
		return FDBEntry{}, 0
	}
	attributes, err := nl.ParseRouteAttr(m[header:])
	if err != nil {
		return FDBEntry{}, 0
	}
	for _, a := range attributes {
		switch {
		case a.Attr.Type == netlink.NDA_LLADDR:
			e.MAC = net.HardwareAddr(a.Value)
		case a.Attr.Type == netlink.NDA_DST && len(a.Value) == 4:
			e.Addr = Addr(a.Value)
		case a.Attr.Type == netlink.NDA_PORT && len(a.Value) == 2:
			e.Port = binary.BigEndian.Uint16(a.Value)
		}
	}
	return e, int(int32(binary.NativeEndian.Uint32(m[4:])))
}

// SetFDB makes or changes the entry of a MAC address.
func SetFDB(index int, e FDBEntry) error {
	request := fdbRequest(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, index, e.MAC)
	request.AddData(nl.NewRtAttr(netlink.NDA_DST, e.Addr.AsSlice()))
	if e.Port != 0 {
		request.AddData(nl.NewRtAttr(netlink.NDA_PORT, binary.BigEndian.AppendUint16(nil, e.Port)))
	}
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// DelFDB deletes the entry of a MAC address.
func DelFDB(index int, mac net.HardwareAddr) error {
	_, err := fdbRequest(unix.RTM_DELNEIGH, 0, index, mac).Execute(unix.NETLINK_ROUTE, 0)
	return err
}

func fdbRequest(kind, flags, index int, mac net.HardwareAddr) *nl.NetlinkRequest {
	request := nl.NewNetlinkRequest(kind, flags|unix.NLM_F_ACK)
	request.AddData(&netlink.Ndmsg{Family: unix.AF_BRIDGE, Index: uint32(index), State: netlink.NUD_PERMANENT, Flags: netlink.NTF_SELF})
	request.AddData(nl.NewRtAttr(netlink.NDA_LLADDR, mac))
	return request
}
