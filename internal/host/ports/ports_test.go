// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"net/netip"
	"strings"
	"testing"
)

func member(last byte, data, gossip uint16, self bool) Member {
	return Member{Addr: netip.AddrFrom4([4]byte{192, 168, 50, last}), Data: data, Gossip: gossip, Self: self}
}

// Keys are what the kernel compares with its registers: fields of 4 bytes, in
// network order.
func TestSetsHoldWhatMembersListenOn(t *testing.T) {
	c := Config{Device: "flannel0", Underlay: []string{"br0"}, Members: []Member{
		member(11, 8285, 8286, true), member(12, 8285, 8286, false), member(13, 9000, 0, false), member(14, 0, 0, false),
	}}
	e := c.contents()
	for set, keys := range map[string][]string{
		setData: {"\xc0\xa8\x32\x0b\x20\x5d\x00\x00", "\xc0\xa8\x32\x0c\x20\x5d\x00\x00", "\xc0\xa8\x32\x0d\x23\x28\x00\x00"},
		setGossip: {"\xc0\xa8\x32\x0b\x06\x00\x00\x00\x20\x5e\x00\x00", "\xc0\xa8\x32\x0b\x11\x00\x00\x00\x20\x5e\x00\x00",
			"\xc0\xa8\x32\x0c\x06\x00\x00\x00\x20\x5e\x00\x00", "\xc0\xa8\x32\x0c\x11\x00\x00\x00\x20\x5e\x00\x00"},
		setMembers:  {"\xc0\xa8\x32\x0c", "\xc0\xa8\x32\x0d", "\xc0\xa8\x32\x0e"}, // not this host
		setUnderlay: {"br0" + strings.Repeat("\x00", 13)},
	} {
		if len(e[set]) != len(keys) {
			t.Errorf("%s has %d keys: %v", set, len(e[set]), e[set])
		}
		for _, k := range keys {
			if !e[set][k] {
				t.Errorf("%s has no %q: %v", set, k, e[set])
			}
		}
	}
}

func TestConfigurationThatTheKernelWouldRefuse(t *testing.T) {
	for name, c := range map[string]Config{
		"no device":       {},
		"a wildcard":      {Device: "fl+"},
		"IPv6":            {Device: "flannel0", Members: []Member{{Addr: netip.MustParseAddr("fd00::1")}}},
		"no address":      {Device: "flannel0", Members: []Member{{Data: 1}}},
		"a long device":   {Device: "flannel0", Underlay: []string{"a-name-of-16-bytes"}},
		"no name":         {Device: "flannel0", Underlay: []string{""}},
		"too many of all": {Device: "flannel0", Members: make([]Member, maxMembers+1)},
	} {
		if c.Validate() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if err := (Config{Device: "flannel0", Members: []Member{member(1, 1, 1, false)}}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestTablesOfTwoDevicesHaveTwoNames(t *testing.T) {
	if TableName("flannel0") != "flanneld-flannel0" || TableName("a") == TableName("b") {
		t.Error(TableName("flannel0"))
	}
}
