// SPDX-License-Identifier: Apache-2.0

//go:build linux

package rtnl

import (
	"slices"

	"github.com/vishvananda/netlink"
)

// BridgesOut names the bridges that lead to other hosts: those with a port that
// neither containers nor virtual machines are behind, such as a network card, a
// bond, a VLAN or a tunnel.
func BridgesOut() ([]string, error) {
	links, err := Links()
	if err != nil {
		return nil, err
	}
	return bridgesOut(links), nil
}

// guestKinds are the kinds of ports that containers and virtual machines are
// behind. A bridge without others has a dummy at times, to keep its address.
var guestKinds = append([]string{"tun", "tuntap", "macvtap", "ipvtap", "dummy"}, ContainerKinds...)

func bridgesOut(links []netlink.Link) (names []string) {
	bridges := map[int]string{}
	for _, l := range links {
		if l.Type() == Bridge {
			bridges[l.Attrs().Index] = l.Attrs().Name
		}
	}
	for _, l := range links {
		if name, ok := bridges[l.Attrs().MasterIndex]; ok && !slices.Contains(guestKinds, l.Type()) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
