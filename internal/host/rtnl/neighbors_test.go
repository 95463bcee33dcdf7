// SPDX-License-Identifier: Apache-2.0

//go:build linux

package rtnl

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// fdbMessage is the body of a message about an FDB entry.
var fdbMessage = []byte{
	unix.AF_BRIDGE, 0, 0, 0, 9, 0, 0, 0, netlink.NUD_PERMANENT, 0, netlink.NTF_SELF, 0,
	10, 0, netlink.NDA_LLADDR, 0, 2, 0, 0, 0, 0, 8, 0, 0,
	8, 0, netlink.NDA_DST, 0, 192, 168, 7, 8,
	6, 0, netlink.NDA_PORT, 0, 0x12, 0xb5, 0, 0,
	8, 0, netlink.NDA_VNI, 0, 9, 0, 0, 0,
	8, 0, netlink.NDA_IFINDEX, 0, 3, 0, 0, 0,
	8, 0, netlink.NDA_NH_ID, 0, 10, 0, 0, 0,
}

func TestNeighborsAreRead(t *testing.T) {
	n, ok := ParseNeighbor(fdbMessage)
	want := Neighbor{Index: 9, Family: unix.AF_BRIDGE, State: netlink.NUD_PERMANENT, Addr: netip.MustParseAddr("192.168.7.8"), Port: 4789,
		VNI: 9, Via: 3, Nexthop: 10}
	if mac := n.MAC.String(); !ok || mac != "02:00:00:00:00:08" {
		t.Errorf("MAC address %s, %t", mac, ok)
	}
	if n.MAC = nil; fmt.Sprint(n) != fmt.Sprint(want) {
		t.Errorf("got %+v", n)
	}
	for _, size := range []int{0, 11, 20, len(fdbMessage) - 4} {
		if _, ok := ParseNeighbor(fdbMessage[:size]); ok {
			t.Errorf("%d bytes of a message are one", size)
		}
	}
}

func FuzzNeighbors(f *testing.F) {
	f.Add(fdbMessage)
	f.Add(fdbMessage[:20])
	f.Add([]byte{unix.AF_INET, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 1, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		if n, ok := ParseNeighbor(body); ok && n.Addr.IsValid() && !n.Addr.Is4() {
			t.Errorf("address %s", n.Addr)
		}
	})
}

func TestMessagesThatCannotBeReadMatter(t *testing.T) {
	none := func(unix.NlMsghdr, []byte) bool { return false }
	whole := append([]byte{20, 0, 0, 0, unix.RTM_NEWNEIGH, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 1, 2, 3, 4)
	for name, c := range map[string]struct {
		datagram []byte
		want     bool
	}{
		"whole": {whole, false}, "nothing": {nil, true}, "cut": {whole[:18], true}, "two, one cut": {append(append([]byte{}, whole...), whole[:17]...), true},
	} {
		if got := anyMatters(c.datagram, none); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if !anyMatters(whole, func(h unix.NlMsghdr, body []byte) bool { return h.Type == unix.RTM_NEWNEIGH && len(body) == 4 }) {
		t.Error("a message that matters does not")
	}
}

func TestAttributesAreReadByNumber(t *testing.T) {
	got, err := attributes([]byte{8, 0, 5, 0x80, 1, 2, 3, 4, 4, 0, 23, 0})
	if _, flag := got[23]; err != nil || len(got) != 2 || string(got[5]) != "\x01\x02\x03\x04" || !flag {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := attributes([]byte{20, 0, 5, 0, 1, 2, 3, 4}); err == nil {
		t.Error("an attribute longer than its message is read")
	}
}
