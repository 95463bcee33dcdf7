// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
)

// spreadingBond names the bond by which a device sends frames from several MAC
// addresses; "" where there is none. In the modes balance-tlb and balance-alb a
// bond gives each frame the MAC address of the port that it leaves by. The bond
// may be the device, or below its VLAN, or a port of its bridge.
func spreadingBond(links []netlink.Link, device string) string {
	start := slices.IndexFunc(links, func(l netlink.Link) bool { return l.Attrs().Name == device })
	if start < 0 {
		return ""
	}
	seen, next := map[int]bool{}, []netlink.Link{links[start]}
	for len(next) > 0 {
		l := next[0]
		next = next[1:]
		if seen[l.Attrs().Index] {
			continue
		}
		seen[l.Attrs().Index] = true
		if b, ok := l.(*netlink.Bond); ok && (b.Mode == netlink.BOND_MODE_BALANCE_TLB || b.Mode == netlink.BOND_MODE_BALANCE_ALB) {
			return fmt.Sprintf("%s (mode %s)", b.Name, b.Mode)
		}
		for _, other := range links {
			if below(l, other) {
				next = append(next, other)
			}
		}
	}
	return ""
}

// below reports whether frames of a device can leave by another one of this
// network namespace.
func below(l, other netlink.Link) bool {
	switch l.Type() {
	case "vlan", "macvlan", "ipvlan":
		return l.Attrs().NetNsID < 0 && l.Attrs().ParentIndex == other.Attrs().Index
	case "bridge":
		return other.Attrs().MasterIndex == l.Attrs().Index
	}
	return false
}
