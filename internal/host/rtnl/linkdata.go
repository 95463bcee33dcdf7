// SPDX-License-Identifier: Apache-2.0

//go:build linux

package rtnl

import (
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// LinkData reads the settings that an interface has by its kind, by the
// kernel's numbers (IFLA_VXLAN_TTL and so on). The netlink library lacks some.
// An interface that is not there is unix.ENODEV.
func LinkData(index int) (map[uint16][]byte, error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index = int32(index)
	request.AddData(message)
	messages, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil || len(messages) == 0 {
		return nil, fmt.Errorf("read interface %d: %w", index, err)
	}
	if len(messages[0]) < unix.SizeofIfInfomsg {
		return nil, fmt.Errorf("read interface %d: the answer has %d bytes", index, len(messages[0]))
	}
	info, err := attributes(messages[0][unix.SizeofIfInfomsg:])
	for _, kind := range []uint16{unix.IFLA_LINKINFO, nl.IFLA_INFO_DATA} {
		if err != nil {
			return nil, fmt.Errorf("read interface %d: %w", index, err)
		}
		info, err = attributes(info[kind])
	}
	return info, err
}

// attributes are the attributes of a message, by number.
func attributes(body []byte) (map[uint16][]byte, error) {
	list, err := nl.ParseRouteAttr(body)
	all := make(map[uint16][]byte, len(list))
	for _, a := range list {
		all[a.Attr.Type&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER)] = a.Value
	}
	return all, err
}
