// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package guard

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/internal/host/kernelpath"
	"flanneld/internal/host/link"
	"flanneld/internal/host/link/linktest"
	"flanneld/internal/host/pathrules"
	"flanneld/internal/host/rtnl"
)

// counted counts the kernel's reports of some kinds until the test ends.
func counted(t *testing.T, protocol int, groups uint32, kinds ...uint16) *atomic.Int64 {
	t.Helper()
	n := new(atomic.Int64)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	if _, err := rtnl.WatchMessages(ctx, protocol, groups, func(h unix.NlMsghdr, _ []byte) bool {
		for _, k := range kinds {
			if h.Type == k {
				n.Add(1)
			}
		}
		return false
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// groupNFTables is NFNLGRP_NFTABLES (linux/netfilter/nfnetlink.h) as a bit.
const groupNFTables = 1 << 6

// setElement is a message about elements of a set.
const setElement = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWSETELEM

// rule is a message about a rule.
const rule = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWRULE

// Of a thousand peers, one that changes is one route, and one key of each set.
func TestAChangeOfOneOfAThousandPeersIsOneRoute(t *testing.T) {
	linktest.Underlay(t)
	r := start(t)
	network := netip.MustParsePrefix("10.240.0.0/12")
	rules := pathrules.Config{
		Network: network, Local: netip.MustParseAddr("192.168.7.1"), Underlay: "eth0", Direct: true,
		VXLAN: true, VXLANDevice: "flannel.1", VXLANPort: 8472, VNI: 1,
	}
	var peers []kernelpath.Peer
	var senders []pathrules.Peer
	for i := range 1000 {
		a, b := byte(i/250), byte(i%250)
		p := kernelpath.Peer{
			Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 248 + a, b, 0}), 24), Endpoint: netip.AddrFrom4([4]byte{192, 168, 8 + a, b + 1}),
			VXLAN: true, MAC: net.HardwareAddr{2, 0, 0, 1, a, b}, Path: kernelpath.Vxlan,
		}
		peers = append(peers, p)
		senders = append(senders, pathrules.Peer{Prefix: p.Prefix, Endpoint: p.Endpoint, VXLAN: true, Port: 8472, Direct: true, MAC: p.MAC})
	}
	t.Cleanup(func() { linktest.Try("nft delete table ip flanneld-paths-flannel0") })
	r.KeepPaths(rules, kernelpath.Config{
		Network: network, Lease: netip.MustParsePrefix("10.244.7.0/24"), Underlay: "eth0", Local: rules.Local, MTU: 1450,
		Alias: link.AliasPrefix + " test", VXLAN: &kernelpath.VXLAN{Name: "flannel.1", VNI: 1, Port: 8472, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 7}},
	}, func() []pathrules.Peer { return senders })
	r.Reach(peers)
	r.eventually("a thousand routes", func() string {
		if routes := linktest.Run(t, "ip route show proto 85"); strings.Count(routes, "onlink") != 1000 {
			return "routes are missing"
		}
		return r.wrong()
	})
	time.Sleep(time.Second)

	routes := counted(t, unix.NETLINK_ROUTE, unix.RTMGRP_IPV4_ROUTE, unix.RTM_NEWROUTE, unix.RTM_DELROUTE)
	neighbors := counted(t, unix.NETLINK_ROUTE, unix.RTMGRP_NEIGH, unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH)
	keys := counted(t, unix.NETLINK_NETFILTER, groupNFTables, setElement, setElement+2)
	rewritten := counted(t, unix.NETLINK_NETFILTER, groupNFTables, rule)
	expect := func(what string, want [3]int64) {
		t.Helper()
		began := time.Now()
		r.Reach(peers)
		took := time.Since(began)
		r.ProtectPaths(&rules, senders)
		time.Sleep(4 * time.Second) // and a look at everything
		got := [3]int64{routes.Swap(0), neighbors.Swap(0), keys.Swap(0)}
		t.Logf("%s: %d messages about routes, %d about neighbors and FDB entries, %d about keys; routes after %v", what, got[0], got[1], got[2], took)
		if got != want || rewritten.Swap(0) != 0 {
			t.Errorf("%s: %v messages about routes, neighbors, keys, want %v", what, got, want)
		}
	}
	expect("the same again", [3]int64{})
	peers[7].Path = kernelpath.Direct
	expect("another path", [3]int64{1, 0, 0})
	peers[7].Path = ""
	expect("no path", [3]int64{1, 0, 0})
	peers[7].Endpoint, senders[7].Endpoint = netip.MustParseAddr("192.168.99.9"), netip.MustParseAddr("192.168.99.9")
	peers[7].Path = kernelpath.Vxlan
	expect("another endpoint", [3]int64{1, 1, 6}) // of vxlan, members, vxlan-members
	peers, senders = append(peers[:7:7], peers[8:]...), append(senders[:7:7], senders[8:]...)
	expect("one gone", [3]int64{1, 3, 5}) // the neighbor fails, and goes
}
