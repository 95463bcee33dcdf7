// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"testing"

	"github.com/vishvananda/netlink"
)

func TestBondsThatSendFromSeveralAddresses(t *testing.T) {
	attrs := func(name string, index, parent, master int) netlink.LinkAttrs {
		a := netlink.NewLinkAttrs()
		a.Name, a.Index, a.ParentIndex, a.MasterIndex, a.NetNsID = name, index, parent, master, -1
		return a
	}
	bond := func(mode netlink.BondMode, master int) netlink.Link {
		b := netlink.NewLinkBond(attrs("bond0", 5, 0, master))
		b.Mode = mode
		return b
	}
	port := &netlink.Device{LinkAttrs: attrs("eth1", 6, 0, 5)}
	vlan := &netlink.Vlan{LinkAttrs: attrs("eth0", 7, 5, 0)}
	elsewhere := &netlink.Vlan{LinkAttrs: attrs("eth0", 7, 5, 0)}
	elsewhere.NetNsID = 3
	veth := &netlink.Veth{LinkAttrs: attrs("eth0", 7, 5, 0)} // its peer has that number
	bridge := &netlink.Bridge{LinkAttrs: attrs("eth0", 7, 0, 0)}
	loop := &netlink.Vlan{LinkAttrs: attrs("eth0", 7, 7, 0)}
	for name, c := range map[string]struct {
		links []netlink.Link
		dev   string
		want  string
	}{
		"alb":               {[]netlink.Link{bond(netlink.BOND_MODE_BALANCE_ALB, 0), port}, "bond0", "bond0 (mode balance-alb)"},
		"tlb":               {[]netlink.Link{bond(netlink.BOND_MODE_BALANCE_TLB, 0), port}, "bond0", "bond0 (mode balance-tlb)"},
		"another mode":      {[]netlink.Link{bond(netlink.BOND_MODE_802_3AD, 0), port}, "bond0", ""},
		"below a VLAN":      {[]netlink.Link{bond(netlink.BOND_MODE_BALANCE_ALB, 0), port, vlan}, "eth0", "bond0 (mode balance-alb)"},
		"in a bridge":       {[]netlink.Link{bond(netlink.BOND_MODE_BALANCE_TLB, 7), port, bridge}, "eth0", "bond0 (mode balance-tlb)"},
		"of another bridge": {[]netlink.Link{bond(netlink.BOND_MODE_BALANCE_TLB, 9), port, bridge}, "eth0", ""},
		"another namespace": {[]netlink.Link{bond(netlink.BOND_MODE_BALANCE_ALB, 0), port, elsewhere}, "eth0", ""},
		"veth":              {[]netlink.Link{bond(netlink.BOND_MODE_BALANCE_ALB, 0), port, veth}, "eth0", ""},
		"a port alone":      {[]netlink.Link{bond(netlink.BOND_MODE_BALANCE_ALB, 0), port}, "eth1", ""},
		"a ring":            {[]netlink.Link{loop}, "eth0", ""},
		"no device":         {nil, "eth0", ""},
	} {
		if got := spreadingBond(c.links, c.dev); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
