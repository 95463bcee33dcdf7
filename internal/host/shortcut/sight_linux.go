// SPDX-License-Identifier: Apache-2.0

package shortcut

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"flanneld/internal/host/rtnl"
)

// sight is what there is on the host.
type sight struct {
	overlay, underlay int // indexes
	linkLen           int
	gro               int // index of the device behind which GRO is
	bridges           []bridgeSight
	// lack is why the programs cannot be in place; nil: they can.
	lack *lack
}

// lack is why this host has no short-cut. It is the error of a function.
type lack struct {
	why string // with what to do
}

func (l *lack) Error() string { return l.why }

// bridgeSight is a bridge that has an address of the lease.
type bridgeSight struct {
	name  string
	index int
	// obstacle is why packets may not go past the bridge; "": they may.
	obstacle string
}

// look looks at devices, bridges and what the programs would pass by.
func look(c Config) (s sight, err error) {
	links, err := rtnl.Links()
	if err != nil {
		return s, err
	}
	var overlay, underlay netlink.Link
	for _, l := range links {
		switch l.Attrs().Name {
		case c.Device:
			overlay = l
			s.overlay = l.Attrs().Index
		case c.Underlay:
			underlay = l
			s.underlay = l.Attrs().Index
		}
	}
	switch {
	case overlay == nil:
		s.lack = &lack{why: fmt.Sprintf("there is no device %s", c.Device)}
		return s, nil
	case underlay == nil:
		s.lack = &lack{why: fmt.Sprintf("there is no device %s", c.Underlay)}
		return s, nil
	}
	if s.linkLen, s.lack = linkLen(underlay); s.lack != nil {
		return s, nil
	}
	if s.lack = noWay(); s.lack != nil {
		return s, nil
	}
	if s.lack, err = passedBy(overlay, underlay); err != nil || s.lack != nil {
		return s, err
	}
	s.bridges, err = bridges(links, c.Lease)
	return s, err
}

// noWay says why the kernel finds no way for the egress program; nil: it does.
// Such a program asks as packets of this host, which come by the loopback
// interface. Where forwarding is off everywhere, it is about to be put right.
func noWay() *lack {
	off := func(scope string) bool {
		value, err := os.ReadFile("/proc/sys/net/ipv4/conf/" + scope + "/forwarding")
		return err == nil && string(bytes.TrimSpace(value)) == "0"
	}
	if off("lo") && !off("all") {
		return &lack{why: "programs of the kernel find no way to peers while net.ipv4.conf.lo.forwarding is 0 " +
			"(sysctl -w net.ipv4.conf.lo.forwarding=1)"}
	}
	return nil
}

// linkLens are the lengths of link headers, in bytes, by the type of device.
var linkLens = map[string]int{"ether": 14, "none": 0, "ipip": 0, "gre": 0}

// linkLen is how long the link header of a datagram on a device is, in bytes.
func linkLen(l netlink.Link) (int, *lack) {
	name := l.Attrs().Name
	n, ok := linkLens[l.Attrs().EncapType]
	if !ok {
		return 0, &lack{why: fmt.Sprintf("%s has link headers of type %s", name, l.Attrs().EncapType)}
	}
	// Flags that are all off are not in the kernel's message (vlan_fill_info).
	if v, ok := l.(*netlink.Vlan); ok && (v.ReorderHdr == nil || !*v.ReorderHdr) {
		return 0, &lack{why: fmt.Sprintf("%s leaves VLAN tags in frames (ip link set %s type vlan reorder_hdr on)", name, name)}
	}
	return n, nil
}

// passedBy reports what else looks at datagrams or packets, and would be passed
// by.
func passedBy(overlay, underlay netlink.Link) (*lack, error) {
	policies, err := netlink.XfrmPolicyList(unix.AF_INET)
	if err != nil && !errors.Is(err, unix.EPROTONOSUPPORT) && !errors.Is(err, unix.EPERM) {
		return nil, fmt.Errorf("list the host's IPsec policies: %w", err)
	}
	if len(policies) > 0 {
		return &lack{why: "the host has IPsec policies, which do not see what the kernel sends by the short-cut (ip xfrm policy)"}, nil
	}
	for _, at := range []struct {
		link   netlink.Link
		parent uint32
	}{{underlay, netlink.HANDLE_MIN_INGRESS}, {overlay, netlink.HANDLE_MIN_EGRESS}} {
		found, err := filters(at.link, at.parent)
		if err != nil {
			return nil, err
		}
		if found != "" {
			return &lack{why: found + " would not see what the short-cut carries (--shortcut=off keeps it in user space)"}, nil
		}
	}
	return nil, nil
}

// filters describes another program's tc filters at one side of a device, which
// the kernel runs behind programs of tcx; "" for none.
func filters(l netlink.Link, parent uint32) (string, error) {
	qdiscs, err := netlink.QdiscList(l)
	if err != nil {
		return "", fmt.Errorf("list the queues of %s: %w", l.Attrs().Name, err)
	}
	for _, q := range qdiscs {
		if q.Attrs().Parent != netlink.HANDLE_CLSACT {
			continue
		}
		all, err := netlink.FilterList(l, parent)
		if err != nil {
			return "", fmt.Errorf("list the filters of %s: %w", l.Attrs().Name, err)
		}
		if len(all) > 0 {
			side := "ingress"
			if parent == netlink.HANDLE_MIN_EGRESS {
				side = "egress"
			}
			return fmt.Sprintf("a tc filter (%s) at %s of %s", all[0].Type(), side, l.Attrs().Name), nil
		}
	}
	return "", nil
}

// bridges are the bridges with an address of the lease.
func bridges(links []netlink.Link, lease netip.Prefix) (all []bridgeSight, err error) {
	var rules string
	for _, l := range links {
		b, ok := l.(*netlink.Bridge)
		if !ok {
			continue
		}
		addrs, err := rtnl.Addrs(l)
		if err != nil {
			return nil, err
		}
		inside := false
		for _, a := range addrs {
			p, ok := rtnl.Prefix(a.IPNet)
			inside = inside || ok && lease.Contains(p.Addr())
		}
		if !inside {
			continue
		}
		if len(all) == 0 {
			if rules, err = bridgeRules(); err != nil {
				return nil, err
			}
		}
		s := bridgeSight{name: l.Attrs().Name, index: l.Attrs().Index, obstacle: rules}
		if s.obstacle == "" && b.VlanFiltering != nil && *b.VlanFiltering {
			s.obstacle = s.name + " filters VLANs"
		}
		if s.obstacle == "" {
			if s.obstacle, err = filters(b, netlink.HANDLE_MIN_EGRESS); err != nil {
				return nil, err
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// bridgeRules names rules that look at what the host sends into a bridge; ""
// for none. Packets that the host forwards to a bridge do not pass the hooks of
// packets between two ports. So neither br_netfilter nor the isolation of ports
// sees them.
func bridgeRules() (string, error) {
	conn, err := nftables.New()
	if err != nil {
		return "", fmt.Errorf("list the rules of bridges: %w", err)
	}
	chains, err := conn.ListChainsOfTableFamily(nftables.TableFamilyBridge)
	if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOENT) {
		return "", fmt.Errorf("list the rules of bridges: %w", err)
	}
	for _, c := range chains {
		if c.Hooknum != nil && (*c.Hooknum == *nftables.ChainHookOutput || *c.Hooknum == *nftables.ChainHookPostrouting) {
			return fmt.Sprintf("chain %s of the bridge table %s of nf_tables looks at what enters bridges (nft list tables bridge)",
				c.Name, c.Table.Name), nil
		}
	}
	modules, err := os.ReadFile("/proc/modules")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	for _, name := range []string{"ebtable_nat", "ebtable_filter"} {
		if bytes.HasPrefix(modules, []byte(name+" ")) || bytes.Contains(modules, []byte("\n"+name+" ")) {
			return fmt.Sprintf("legacy rules of bridges can look at what enters them (rmmod %s, if ebtables-legacy -L lists none)", name), nil
		}
	}
	return "", nil
}
