// SPDX-License-Identifier: Apache-2.0

//go:build linux

package rtnl

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestPrefixesKeepTheirHostPart(t *testing.T) {
	for _, text := range []string{"10.244.7.1/24", "0.0.0.0/0", "192.0.2.9/32"} {
		want := netip.MustParsePrefix(text)
		if got, ok := Prefix(IPNet(want)); !ok || got != want {
			t.Errorf("%s became %s, %t", want, got, ok)
		}
	}
	for name, n := range map[string]*net.IPNet{
		"nothing": nil, "IPv6": IPNet(netip.MustParsePrefix("fd00::1/64")), "no address": {Mask: net.CIDRMask(8, 32)},
	} {
		if p, ok := Prefix(n); ok {
			t.Errorf("%s became %s", name, p)
		}
	}
}

func TestRouteWithoutDestinationLeadsEverywhere(t *testing.T) {
	if got := Destination(netlink.Route{}); got != netip.MustParsePrefix("0.0.0.0/0") {
		t.Errorf("got %s", got)
	}
	if got := Destination(netlink.Route{Dst: IPNet(netip.MustParsePrefix("10.244.7.1/24"))}); got != netip.MustParsePrefix("10.244.7.0/24") {
		t.Errorf("got %s", got)
	}
}

func TestAddressesAreUnmapped(t *testing.T) {
	if got := Addr(net.ParseIP("192.0.2.1")); got != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("got %s", got)
	}
	if Addr(nil).IsValid() {
		t.Error("no address became one")
	}
}

// A dump that a change interrupts is repeated, and given up after some times.
func TestInterruptedDumpsAreRepeated(t *testing.T) {
	for _, c := range []struct{ interrupted, calls int }{{0, 1}, {2, 3}, {attempts, attempts}} {
		calls := 0
		items, err := dump("x", func() ([]int, error) {
			if calls++; calls <= c.interrupted {
				return nil, netlink.ErrDumpInterrupted
			}
			return []int{calls}, nil
		})
		if calls != c.calls || (err != nil) != (c.interrupted == attempts) || err == nil && len(items) != 1 {
			t.Errorf("interrupted %d times: %d calls, %v, %v", c.interrupted, calls, items, err)
		}
	}
	calls := 0
	if _, err := dump("x", func() ([]int, error) { calls++; return nil, unix.EPERM }); !errors.Is(err, unix.EPERM) || calls != 1 {
		t.Errorf("another error: %v after %d calls", err, calls)
	}
}

// Reading needs no privilege: every host has a loopback interface.
func TestListsOfThisHostAreRead(t *testing.T) {
	links, err := Links()
	if err != nil || len(links) == 0 {
		t.Fatalf("%d links, %v", len(links), err)
	}
	if _, err := Addrs(links[0]); err != nil {
		t.Error(err)
	}
	for name, read := range map[string]func() error{
		"routes":     func() error { _, err := Routes(); return err },
		"all routes": func() error { _, err := AllRoutes(); return err },
		"rules":      func() error { _, err := Rules(); return err },
		"databases":  func() error { _, err := BridgeFDB(); return err },
	} {
		if err := read(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	changes, err := Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case <-changes: // perhaps something changed before
	case <-time.After(50 * time.Millisecond):
	}
}

func TestBridgesThatLeadToOtherHosts(t *testing.T) {
	links := []netlink.Link{
		&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Index: 1, Name: "docker0"}},
		&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Index: 2, Name: "virbr0"}},
		&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Index: 3, Name: "br-lan"}},
		&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Index: 4, Name: "br-vlan"}},
		&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Index: 5, Name: "br-tunnel"}},
		&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Index: 6, Name: "empty"}},
		&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Index: 11, MasterIndex: 1}},
		&netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Index: 12, MasterIndex: 2}},
		&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: 13, MasterIndex: 2}},
		&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Index: 14, MasterIndex: 3}},
		&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: 15, MasterIndex: 3}},
		&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: 16, MasterIndex: 3}},
		&netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Index: 17, MasterIndex: 4}},
		&netlink.Vxlan{LinkAttrs: netlink.LinkAttrs{Index: 18, MasterIndex: 5}},
		&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: 19}},
	}
	if got := bridgesOut(links); !slices.Equal(got, []string{"br-lan", "br-tunnel", "br-vlan"}) {
		t.Errorf("got %q", got)
	}
}
