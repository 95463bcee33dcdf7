// SPDX-License-Identifier: Apache-2.0

//go:build linux

package rtnl

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// attribute is one of a message, filled up to four bytes.
func attribute(kind byte, value ...byte) []byte {
	b := append([]byte{byte(4 + len(value)), 0, kind, 0}, value...)
	return append(b, make([]byte, (4-len(b)%4)%4)...)
}

// neighborMessage is the body of a message about a neighbor of interface 3.
func neighborMessage(family byte, state byte, attributes ...[]byte) []byte {
	return append([]byte{family, 0, 0, 0, 3, 0, 0, 0, state, 0, 0, 0}, bytes.Join(attributes, nil)...)
}

// What a message does not say stays zero, and what is not known is passed over.
func TestNeighborsAreReadAsFarAsTheyAreKnown(t *testing.T) {
	mac, addr := attribute(netlink.NDA_LLADDR, 2, 0, 0, 0, 0, 8), attribute(netlink.NDA_DST, 192, 0, 2, 9)
	for name, c := range map[string]struct {
		body []byte
		mac  string
		addr string
		port uint16
	}{
		"no attribute":          {neighborMessage(unix.AF_INET, netlink.NUD_FAILED), "", "", 0},
		"address alone":         {neighborMessage(unix.AF_INET, netlink.NUD_INCOMPLETE, addr), "", "192.0.2.9", 0},
		"both":                  {neighborMessage(unix.AF_INET, netlink.NUD_REACHABLE, addr, mac), "02:00:00:00:00:08", "192.0.2.9", 0},
		"the other order":       {neighborMessage(unix.AF_INET, netlink.NUD_REACHABLE, mac, addr), "02:00:00:00:00:08", "192.0.2.9", 0},
		"an unknown one before": {neighborMessage(unix.AF_INET, netlink.NUD_STALE, attribute(99, 1, 2, 3), addr, mac), "02:00:00:00:00:08", "192.0.2.9", 0},
		"IPv6":                  {neighborMessage(unix.AF_INET6, netlink.NUD_REACHABLE, attribute(netlink.NDA_DST, make([]byte, 16)...), mac), "02:00:00:00:00:08", "", 0},
		"a port of one byte":    {neighborMessage(unix.AF_BRIDGE, netlink.NUD_PERMANENT, mac, attribute(netlink.NDA_PORT, 1)), "02:00:00:00:00:08", "", 0},
		"a port":                {neighborMessage(unix.AF_BRIDGE, netlink.NUD_PERMANENT, mac, attribute(netlink.NDA_PORT, 0x21, 0x18)), "02:00:00:00:00:08", "", 8472},
		"an empty address":      {neighborMessage(unix.AF_INET, netlink.NUD_NOARP, attribute(netlink.NDA_DST)), "", "", 0},
		"bytes at the end":      {append(neighborMessage(unix.AF_INET, netlink.NUD_STALE, addr), 1, 2), "", "192.0.2.9", 0},
	} {
		n, ok := ParseNeighbor(c.body)
		text := ""
		if n.Addr.IsValid() {
			text = n.Addr.String()
		}
		if !ok || n.Index != 3 || n.Family != int(c.body[0]) || n.State != int(c.body[8]) || n.MAC.String() != c.mac || text != c.addr || n.Port != c.port {
			t.Errorf("%s: %+v, %t", name, n, ok)
		}
	}
	for name, body := range map[string][]byte{
		"an attribute of no length":   neighborMessage(unix.AF_INET, 0, []byte{0, 0, 1, 0}),
		"an attribute of three bytes": neighborMessage(unix.AF_INET, 0, []byte{3, 0, 1, 0}),
		"an attribute beyond the end": neighborMessage(unix.AF_INET, 0, []byte{9, 0, 1, 0, 192, 0, 2, 9}),
		"a header that is cut":        neighborMessage(unix.AF_INET, 0)[:unix.SizeofNdMsg-1],
	} {
		if n, ok := ParseNeighbor(body); ok {
			t.Errorf("%s: %+v", name, n)
		}
	}
}

// Only routes of flanneld to single peers are no news.
func TestRoutesOfKernelPathsAreNoNews(t *testing.T) {
	route := func(protocol byte) []byte {
		body := make([]byte, unix.SizeofRtMsg)
		body[5] = protocol
		return body
	}
	for name, c := range map[string]struct {
		kind  uint16
		body  []byte
		want  bool
		flags uint16
	}{
		"our new route":        {unix.RTM_NEWROUTE, route(Protocol), false, 0},
		"our old route":        {unix.RTM_DELROUTE, route(Protocol), false, 0},
		"a route of a person":  {unix.RTM_NEWROUTE, route(unix.RTPROT_BOOT), true, 0},
		"the network's route":  {unix.RTM_NEWROUTE, route(unix.RTPROT_STATIC), true, 0},
		"a route that is cut":  {unix.RTM_NEWROUTE, route(Protocol)[:unix.SizeofRtMsg-1], true, 0},
		"a route without body": {unix.RTM_DELROUTE, nil, true, 0},
		"a link":               {unix.RTM_NEWLINK, route(Protocol), true, 0},
		"an address":           {unix.RTM_NEWADDR, route(Protocol), true, 0},
		"a question":           {unix.RTM_GETROUTE, route(Protocol), true, 0},
		"in the place of one":  {unix.RTM_NEWROUTE, route(Protocol), true, unix.NLM_F_REPLACE},
	} {
		if got := notKernelPath(unix.NlMsghdr{Type: c.kind, Flags: c.flags}, c.body); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// The library gives addresses of 4 and of 16 bytes, and masks of any kind.
func TestPrefixesOfOddFormsAreReadOrRefused(t *testing.T) {
	v4, mapped := net.IPv4(192, 0, 2, 9).To4(), net.IPv4(192, 0, 2, 9)
	for name, c := range map[string]struct {
		n    net.IPNet
		want string
	}{
		"4 bytes":             {net.IPNet{IP: v4, Mask: net.CIDRMask(24, 32)}, "192.0.2.9/24"},
		"16 bytes":            {net.IPNet{IP: mapped, Mask: net.CIDRMask(24, 32)}, "192.0.2.9/24"},
		"a mask of IPv6":      {net.IPNet{IP: mapped, Mask: net.CIDRMask(120, 128)}, ""},
		"a mask with a hole":  {net.IPNet{IP: v4, Mask: net.IPMask{255, 0, 255, 0}}, ""},
		"no mask":             {net.IPNet{IP: v4}, ""},
		"an address of 5":     {net.IPNet{IP: net.IP{1, 2, 3, 4, 5}, Mask: net.CIDRMask(8, 32)}, ""},
		"everything":          {net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}, "0.0.0.0/0"},
		"a single address":    {net.IPNet{IP: v4, Mask: net.CIDRMask(32, 32)}, "192.0.2.9/32"},
		"IPv6 of IPv4's mask": {net.IPNet{IP: net.ParseIP("fd00::1"), Mask: net.CIDRMask(24, 32)}, ""},
	} {
		p, ok := Prefix(&c.n)
		if ok != (c.want != "") || ok && p != netip.MustParsePrefix(c.want) {
			t.Errorf("%s: %s, %t", name, p, ok)
		}
	}
	if !slices.Contains(ContainerKinds, "bridge") || slices.Contains(ContainerKinds, "vxlan") || slices.Contains(ContainerKinds, "tun") {
		t.Errorf("kinds of containers' devices: %q", ContainerKinds)
	}
}
