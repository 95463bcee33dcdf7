// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

func TestConfigIsRefusedBeforeTheKernelIsAsked(t *testing.T) {
	c := testConfig()
	c.IPIP = &IPIP{Name: "flannel.ipip"}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"no network":         func(c *Config) { c.Network = netip.Prefix{} },
		"IPv6":               func(c *Config) { c.Network = netip.MustParsePrefix("fd00::/16") },
		"host bits":          func(c *Config) { c.Network = netip.MustParsePrefix("10.244.0.1/16") },
		"no lease":           func(c *Config) { c.Lease = netip.Prefix{} },
		"lease elsewhere":    func(c *Config) { c.Lease = netip.MustParsePrefix("10.245.7.0/24") },
		"lease is all":       func(c *Config) { c.Lease = c.Network },
		"no underlay":        func(c *Config) { c.Local = netip.Addr{} },
		"underlay in it":     func(c *Config) { c.Local = netip.MustParseAddr("10.244.9.9") },
		"MTU 0":              func(c *Config) { c.MTU = 0 },
		"MTU":                func(c *Config) { c.MTU = 65536 },
		"alias":              func(c *Config) { c.Alias = "other" },
		"long alias":         func(c *Config) { c.Alias += strings.Repeat("x", 250) },
		"name of vxlan":      func(c *Config) { c.VXLAN.Name = "a/b" },
		"VNI 0":              func(c *Config) { c.VXLAN.VNI = 0 },
		"VNI":                func(c *Config) { c.VXLAN.VNI = 1 << 24 },
		"port":               func(c *Config) { c.VXLAN.Port = 0 },
		"no MAC address":     func(c *Config) { c.VXLAN.MAC = nil },
		"zero MAC address":   func(c *Config) { c.VXLAN.MAC = make(net.HardwareAddr, 6) },
		"multicast":          func(c *Config) { c.VXLAN.MAC = net.HardwareAddr{1, 0, 0x5e, 0, 0, 1} },
		"MAC of eight bytes": func(c *Config) { c.VXLAN.MAC = make(net.HardwareAddr, 8) },
		"name of ipip":       func(c *Config) { c.IPIP.Name = "" },
	} {
		c := testConfig()
		c.IPIP = &IPIP{Name: "flannel.ipip"}
		change(&c)
		if err := c.Validate(); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConfigurationIsCopied(t *testing.T) {
	c := testConfig()
	c.IPIP = &IPIP{Name: "flannel.ipip"}
	own := c.clone()
	c.VXLAN.MAC[5], c.VXLAN.VNI, c.IPIP.Name = 99, 9, "x"
	if own.VXLAN.MAC[5] != 7 || own.VXLAN.VNI != 1 || own.IPIP.Name != "flannel.ipip" {
		t.Errorf("the copy changed: %+v", own)
	}
	if (*Config)(nil).clone() != nil {
		t.Error("nothing became something")
	}
}

func TestPeersThatCannotBe(t *testing.T) {
	for want, change := range map[string]func(*Peer){
		"":                          func(*Peer) {},
		"no part of the network":    func(p *Peer) { p.Prefix = netip.MustParsePrefix("10.245.8.0/24") },
		"is no part of":             func(p *Peer) { p.Prefix = netip.MustParsePrefix("10.244.0.0/16") }, // flannel0's own
		"part of the network":       func(p *Peer) { p.Prefix = netip.MustParsePrefix("10.244.8.1/24") },
		"own lease":                 func(p *Peer) { p.Prefix = netip.MustParsePrefix("10.244.7.128/25") },
		"overlaps this":             func(p *Peer) { p.Prefix = netip.MustParsePrefix("10.244.6.0/23") },
		"cannot be an endpoint":     func(p *Peer) { p.Endpoint = netip.MustParseAddr("10.244.8.1") },
		"be an endpoint":            func(p *Peer) { p.Endpoint = netip.Addr{} },
		"is this node's own":        func(p *Peer) { p.Endpoint = netip.MustParseAddr("192.168.7.1") },
		"is no path of the kernel":  func(p *Peer) { p.Path = "udp" },
		"no MAC address":            func(p *Peer) { p.MAC = nil },
		"MAC address of a device":   func(p *Peer) { p.MAC = net.HardwareAddr{1, 0, 0x5e, 0, 0, 1} },
		"02:00:00:00:00:07 is this": func(p *Peer) { p.MAC = net.HardwareAddr{2, 0, 0, 0, 0, 7} },
	} {
		p := testPeer(8, Vxlan)
		change(&p)
		w := testConfig().wantedEntries([]Peer{p}, nil)
		why := w.refused[p.Prefix]
		if want == "" && why != "" || !strings.Contains(why, want) {
			t.Errorf("%+v: %q, want %q", p, why, want)
		}
		if n := len(w.routes) + len(w.fdb) + len(w.neighbors); (n == 0) != (want != "") {
			t.Errorf("%q: %d entries", want, n)
		}
	}
}

// Of two peers with one MAC address the later is refused, in whatever order
// they are listed.
func TestOneMACAddressHasOnePeer(t *testing.T) {
	c := testConfig()
	first, second := testPeer(8, Vxlan), testPeer(9, Vxlan)
	second.MAC = first.MAC
	before := c.wantedEntries([]Peer{first}, nil)
	for _, order := range [][]Peer{{first, second}, {second, first}} {
		w := c.wantedEntries(order, before.owners)
		if !strings.Contains(w.refused[second.Prefix], "02:00:00:00:00:08 is that of the holder of 10.244.8.0/24") || w.refused[first.Prefix] != "" {
			t.Errorf("refused: %v", w.refused)
		}
		if w.fdb[toHWAddr(first.MAC)].addr != first.Endpoint || len(w.routes) != 1 {
			t.Errorf("%+v", w.entries)
		}
	}
	if w := c.wantedEntries([]Peer{second, first}, nil); w.refused[first.Prefix] == "" || w.refused[second.Prefix] != "" {
		t.Errorf("both new: %v", w.refused)
	}
	second.Endpoint = first.Endpoint // one host with two subnets
	if w := c.wantedEntries([]Peer{first, second}, nil); len(w.refused) > 0 || len(w.routes) != 2 || len(w.fdb) != 1 || len(w.neighbors) != 2 {
		t.Errorf("one host: %+v", w)
	}
	if w := c.wantedEntries([]Peer{first, first}, nil); !strings.Contains(w.refused[first.Prefix], "twice") || len(w.routes) != 1 {
		t.Errorf("a prefix twice: %+v", w)
	}
}

func TestRoutesFollowTheirPath(t *testing.T) {
	c := testConfig()
	c.IPIP = &IPIP{Name: "flannel.ipip"}
	for path, want := range map[string]route{
		Vxlan:  {via: netip.MustParseAddr("10.244.8.0"), dev: "flannel.1"},
		Direct: {via: netip.MustParseAddr("192.168.7.8"), dev: "eth0"},
		Ipip:   {via: netip.MustParseAddr("192.168.7.8"), dev: "flannel.ipip"},
	} {
		p := testPeer(8, path)
		want.dst, want.src, want.mtu, want.onlink = p.Prefix, netip.MustParseAddr("10.244.7.0"), 1450, true
		if got := c.wantedEntries([]Peer{p}, nil).routes[p.Prefix]; got != want {
			t.Errorf("%s: %+v", path, got)
		}
		p.MTU = 1400
		if got := c.wantedEntries([]Peer{p}, nil).routes[p.Prefix].mtu; got != 1400 {
			t.Errorf("%s: MTU %d", path, got)
		}
		p.MTU = 9000
		if got := c.wantedEntries([]Peer{p}, nil).routes[p.Prefix].mtu; got != 1450 {
			t.Errorf("%s: MTU %d", path, got)
		}
	}
	bare := testConfig()
	bare.VXLAN, bare.Underlay = nil, ""
	for _, path := range []string{"", Vxlan, Direct, Ipip} {
		if w := bare.wantedEntries([]Peer{testPeer(8, path)}, nil); len(w.routes)+len(w.fdb)+len(w.neighbors)+len(w.refused) > 0 {
			t.Errorf("without devices, %q: %+v", path, w)
		}
	}
	plain := testPeer(8, Vxlan)
	plain.VXLAN = false
	if w := c.wantedEntries([]Peer{plain}, nil); len(w.routes) > 0 {
		t.Errorf("a peer that does not take VXLAN: %+v", w.routes)
	}
}

func TestPortOfAPeerIsToldWhereItIsAnother(t *testing.T) {
	c := testConfig()
	for port, want := range map[uint16]uint16{0: 0, 8472: 0, 4789: 4789} {
		p := testPeer(8, Vxlan)
		p.Port = port
		if got := c.wantedEntries([]Peer{p}, nil).fdb[toHWAddr(p.MAC)]; got != (remote{addr: p.Endpoint, port: want}) {
			t.Errorf("%d: %+v", port, got)
		}
	}
}
