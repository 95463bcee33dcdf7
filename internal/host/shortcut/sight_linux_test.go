// SPDX-License-Identifier: Apache-2.0

package shortcut

import (
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
)

// Link headers that the programs do not know are a reason that names the
// device, and what to type where a command helps.
func TestLinkHeadersAreKnownOrRefused(t *testing.T) {
	on, off := true, false
	ether, wifi, bare := netlink.LinkAttrs{Name: "eth0", EncapType: "ether"}, netlink.LinkAttrs{Name: "w0", EncapType: "ieee802.11/radiotap"},
		netlink.LinkAttrs{Name: "wg0", EncapType: "none"}
	for _, c := range []struct {
		link netlink.Link
		want int
		why  string
	}{
		{&netlink.Device{LinkAttrs: ether}, 14, ""},
		{&netlink.Bond{LinkAttrs: ether}, 14, ""},
		{&netlink.Wireguard{LinkAttrs: bare}, 0, ""},
		{&netlink.Device{LinkAttrs: wifi}, 0, "w0 has link headers of type ieee802.11/radiotap"},
		{&netlink.Vlan{LinkAttrs: ether}, 0, "ip link set eth0 type vlan reorder_hdr on"},
		{&netlink.Vlan{LinkAttrs: ether, ReorderHdr: &on}, 14, ""},
		{&netlink.Vlan{LinkAttrs: ether, ReorderHdr: &off}, 0, "ip link set eth0 type vlan reorder_hdr on"},
	} {
		got, l := linkLen(c.link)
		if got != c.want || (l == nil) != (c.why == "") || l != nil && !strings.Contains(l.why, c.why) {
			t.Errorf("%T %+v: %d, %v; want %d, %q", c.link, *c.link.Attrs(), got, l, c.want, c.why)
		}
	}
}
