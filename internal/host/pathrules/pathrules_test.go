// SPDX-License-Identifier: Apache-2.0

package pathrules

import (
	"errors"
	"net"
	"net/netip"
	"reflect"
	"runtime"
	"testing"
)

func testConfig() Config {
	return Config{
		Network: netip.MustParsePrefix("10.244.0.0/16"), Local: netip.MustParseAddr("192.0.2.1"), Underlay: "eth0",
		VXLAN: true, VXLANDevice: "flannel.1", VXLANPort: 8472, VNI: 1, IPIP: true, IPIPDevice: "flannel.ipip", Direct: true,
	}
}

func testPeer(n byte, bits int) Peer {
	return Peer{
		Prefix:   netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, n, 0}), bits).Masked(),
		Endpoint: netip.AddrFrom4([4]byte{192, 0, 2, n}), MAC: net.HardwareAddr{2, 0, 0, 0, 0, n},
		Port: 8472, VXLAN: true, IPIP: true, Direct: true,
	}
}

// Keys are what the kernel compares with its registers: fields filled up to 4
// bytes, in network order. A prefix length has a set of its own: in one set the
// key of 10.244.0.0/24 would let all of 10.244.0.0/20 pass.
func TestKeysAreWhatPacketsCarry(t *testing.T) {
	c := testConfig()
	large := testPeer(32, 20)
	silent := testPeer(3, 24)
	silent.MAC, silent.IPIP = nil, false
	k := c.keysOf([]Peer{testPeer(2, 24), large, silent})
	want := map[setID][]string{
		{VXLAN, 24}:  {"\xc0\x00\x02\x02\x0a\xf4\x02\x00", "\xc0\x00\x02\x03\x0a\xf4\x03\x00"},
		{VXLAN, 20}:  {"\xc0\x00\x02\x20\x0a\xf4\x20\x00"},
		{IPIP, 24}:   {"\xc0\x00\x02\x02\x0a\xf4\x02\x00"},
		{IPIP, 20}:   {"\xc0\x00\x02\x20\x0a\xf4\x20\x00"},
		{Direct, 24}: {"\x02\x00\x00\x00\x00\x02\x00\x00\x0a\xf4\x02\x00"},
		{Direct, 20}: {"\x02\x00\x00\x00\x00\x20\x00\x00\x0a\xf4\x20\x00"},

		{receivers, 24}: {"\x0a\xf4\x02\x00", "\x0a\xf4\x03\x00"},
		{receivers, 20}: {"\x0a\xf4\x20\x00"},
	}
	if len(k.senders) != len(want) {
		t.Errorf("sets %v", k.senders)
	}
	for id, keys := range want {
		if len(k.senders[id]) != len(keys) {
			t.Errorf("%s: %v", id.name(), k.senders[id])
		}
		for _, key := range keys {
			if !k.senders[id][key] || len(key) != id.keyLen() || id.prefix(key).Bits() != id.bits {
				t.Errorf("%s has no %q: %v", id.name(), key, k.senders[id])
			}
		}
	}
	for name, n := range map[string]int{setMembers: 3, setVXLAN: 3, setIPIP: 2} {
		if len(k.members[name]) != n {
			t.Errorf("%s: %v", name, k.members[name])
		}
	}
	if !k.members[setVXLAN]["\xc0\x00\x02\x02\x21\x18\x00\x00"] {
		t.Errorf("VXLAN devices: %v", k.members[setVXLAN])
	}
	c.VXLAN, c.Direct = false, false
	if k := c.keysOf([]Peer{testPeer(2, 24)}); len(k.senders) != 2 || len(k.members[setVXLAN]) > 0 {
		t.Errorf("paths that are not in use have keys: %v", k)
	}
}

// What an earlier process has written is read as it was meant.
func TestKeysAreTakenOver(t *testing.T) {
	c := testConfig()
	k := c.keysOf([]Peer{testPeer(2, 24), testPeer(32, 20)})
	sets := map[string]map[string]bool{"kinds": {"x": true}, "vxlan-x": {"12345678": true}, "vxlan-33": {"12345678": true}, "other-24": {"12345678": true}}
	for id, keys := range k.senders {
		sets[id.name()] = keys
	}
	for name, keys := range k.members {
		sets[name] = keys
	}
	if got := c.keysIn(sets); !reflect.DeepEqual(got, k) {
		t.Errorf("got %v, want %v", got, k)
	}
	sets["vxlan-24"]["short"] = true
	c.IPIP = false
	got := c.keysIn(sets)
	if len(got.senders[setID{VXLAN, 24}]) != 1 || len(got.senders) != 6 {
		t.Errorf("got %v", got.senders)
	}
}

func TestConfigurationsThatWouldCheckNothing(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no network":            func(c *Config) { c.Network = netip.Prefix{} },
		"network of IPv6":       func(c *Config) { c.Network = netip.MustParsePrefix("fd00::/64") },
		"network with a host":   func(c *Config) { c.Network = netip.MustParsePrefix("10.244.1.0/16") },
		"no port":               func(c *Config) { c.VXLANPort = 0 },
		"no VNI":                func(c *Config) { c.VNI = 0 },
		"VNI of 25 bits":        func(c *Config) { c.VNI = 1 << 24 },
		"no local address":      func(c *Config) { c.Local = netip.Addr{} },
		"local address of IPv6": func(c *Config) { c.Local = netip.MustParseAddr("fd00::1") },
		"no VXLAN device":       func(c *Config) { c.VXLANDevice = "a b" },
		"no IPIP device":        func(c *Config) { c.IPIPDevice = "" },
		"no underlay device":    func(c *Config) { c.Underlay = "" },
		"a long device":         func(c *Config) { c.Underlay = "a-name-of-16-byt" },
		"underlay in network":   func(c *Config) { c.Local = netip.MustParseAddr("10.244.7.1") },
	} {
		c := testConfig()
		change(&c)
		if c.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
		p := NewPart("flannel0", 65534)
		p.Want(&c)
		if _, err := p.Ensure(t.Context()); err == nil || p.Unavailable() == "" {
			t.Errorf("%s: Ensure %v, unavailable %q", name, err, p.Unavailable())
		}
	}
	if err := testConfig().Validate(); err != nil {
		t.Error(err)
	}
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("without any path: %v", err)
	}
}

func TestPeersThatTheTableCannotHave(t *testing.T) {
	for name, change := range map[string]func(*Peer){
		"no prefix":        func(p *Peer) { p.Prefix = netip.Prefix{} },
		"another network":  func(p *Peer) { p.Prefix = netip.MustParsePrefix("10.245.1.0/24") },
		"the network's":    func(p *Peer) { p.Prefix = netip.MustParsePrefix("10.0.0.0/8") },
		"not masked":       func(p *Peer) { p.Prefix = netip.MustParsePrefix("10.244.2.1/24") },
		"no endpoint":      func(p *Peer) { p.Endpoint = netip.Addr{} },
		"endpoint of IPv6": func(p *Peer) { p.Endpoint = netip.MustParseAddr("fd00::1") },
	} {
		p := testPeer(2, 24)
		change(&p)
		if testConfig().validate([]Peer{p}) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if testConfig().validate(make([]Peer, maxPeers+1)) == nil {
		t.Error("any number of peers is accepted")
	}
	if err := testConfig().validate([]Peer{testPeer(2, 24), testPeer(3, 24)}); err != nil {
		t.Error(err)
	}
}

func TestPartDoesNothingBeforeItIsWanted(t *testing.T) {
	p := NewPart("flannel0", 65534)
	if p.Name() != "path rules" || p.Device() != "flannel0" || p.Wanted() != nil {
		t.Errorf("name %s, device %s, wanted %+v", p.Name(), p.Device(), p.Wanted())
	}
	if changes, err := p.Ensure(t.Context()); err != nil || len(changes) > 0 || p.Unavailable() != "" {
		t.Errorf("Ensure: %q, %v", changes, err)
	}
	if wrong, err := p.Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Errorf("Check: %q, %v", wrong, err)
	}
	if arrived, sent := p.Traffic(); arrived != nil || sent != nil || p.Refused() != nil {
		t.Error("counts without a table")
	}
	c := testConfig()
	p.Want(&c)
	c.Underlay = "eth1"
	if got := p.Wanted(); got == nil || got.Underlay != "eth0" {
		t.Errorf("wanted %+v", got)
	}
	p.Want(nil)
	if p.Wanted() != nil {
		t.Error("it is still wanted")
	}
	if runtime.GOOS != "linux" {
		p.Want(&c)
		if _, err := p.Ensure(t.Context()); !errors.Is(err, ErrPlatform) {
			t.Error(err)
		}
	}
}

func TestTablesOfTwoDevicesHaveTwoNames(t *testing.T) {
	if TableName("flannel0") != "flanneld-paths-flannel0" || TableName("a") == TableName("b") {
		t.Error(TableName("flannel0"))
	}
}
