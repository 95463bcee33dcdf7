// SPDX-License-Identifier: Apache-2.0

package pathrules

import (
	"encoding/binary"
	"testing"

	"github.com/google/nftables/expr"

	"flanneld/internal/host/nft"
	"flanneld/internal/host/nft/nfttest"
)

// testTable has peers 2 and 3 with /24, and 32 with /20.
func testTable(change func(*Config), fib bool) nft.Content {
	c := testConfig()
	change(&c)
	return c.content(c.keysOf([]Peer{testPeer(2, 24), testPeer(3, 24), testPeer(32, 20)}), 900, fib)
}

func asIs(*Config) {}

// meet is a packet without a socket that comes by the underlay.
func meet(frame []byte) *nfttest.Packet {
	network := frame[etherLen:]
	return &nfttest.Packet{In: "eth0", Link: frame[:etherLen], Network: network, Transport: network[int(network[0]&15)*4:], User: -1}
}

func inVXLAN(outer, inner string, vni uint32, port uint16) []byte {
	frame := ether(mac(10, 1), mac(10, 2), etherTypeIPv4, ipv4(addr(inner), addr("10.244.1.7"), 17, nil, udp(9, 7, nil)))
	return ether(mac(2, 1), mac(2, 2), etherTypeIPv4, ipv4(addr(outer), addr("192.0.2.1"), 17, nil, udp(4000, port, vxlanHeader(vni, frame))))
}

func inIPIP(outer, to, inner string) []byte {
	return ether(mac(2, 1), mac(2, 2), etherTypeIPv4,
		ipv4(addr(outer), addr(to), 4, nil, ipv4(addr(inner), addr("10.244.1.7"), 17, nil, udp(9, 7, nil))))
}

func plain(n byte, from string) []byte {
	return ether(mac(2, 1), mac(2, n), etherTypeIPv4, ipv4(addr(from), addr("10.244.1.7"), 17, nil, udp(9, 7, nil)))
}

func by(device, kind string, reached bool, p *nfttest.Packet) *nfttest.Packet {
	p.In, p.Kind, p.Reached = device, kind, reached
	return p
}

func TestRulesLetPassWhatBelongsTogether(t *testing.T) {
	short := meet(inVXLAN("192.0.2.2", "10.244.2.7", 1, 8472))
	short.Transport = short.Transport[:40] // the rest of the inner header is missing
	for name, c := range map[string]struct {
		hook string
		p    *nfttest.Packet
		drop bool
	}{
		"VXLAN":                              {"input", meet(inVXLAN("192.0.2.2", "10.244.2.7", 1, 8472)), false},
		"VXLAN of a larger lease":            {"input", meet(inVXLAN("192.0.2.32", "10.244.47.7", 1, 8472)), false},
		"VXLAN beyond a larger lease":        {"input", meet(inVXLAN("192.0.2.32", "10.244.48.7", 1, 8472)), true},
		"VXLAN of a wrong source":            {"input", meet(inVXLAN("192.0.2.2", "10.244.3.7", 1, 8472)), true},
		"VXLAN, lease widened to /20":        {"input", meet(inVXLAN("192.0.2.2", "10.244.4.7", 1, 8472)), true},
		"VXLAN of a stranger":                {"input", meet(inVXLAN("192.0.2.9", "10.244.2.7", 1, 8472)), true},
		"VXLAN that is cut":                  {"input", short, true},
		"VXLAN of another device":            {"input", meet(inVXLAN("192.0.2.9", "10.244.2.7", 2, 8472)), false},
		"VXLAN at another port":              {"input", meet(inVXLAN("192.0.2.9", "10.244.2.7", 1, 4789)), false},
		"VXLAN by a container":               {"input", by("docker0", "bridge", false, meet(inVXLAN("192.0.2.2", "10.244.2.7", 1, 8472))), true},
		"VXLAN by a bridge to the member":    {"input", by("br1", "bridge", true, meet(inVXLAN("192.0.2.2", "10.244.2.7", 1, 8472))), false},
		"VXLAN by another card":              {"input", by("eth1", "", false, meet(inVXLAN("192.0.2.2", "10.244.2.7", 1, 8472))), false},
		"VXLAN, the underlay being a bridge": {"input", by("eth0", "bridge", false, meet(inVXLAN("192.0.2.2", "10.244.2.7", 1, 8472))), false},

		"IPIP":                         {"input", meet(inIPIP("192.0.2.2", "192.0.2.1", "10.244.2.7")), false},
		"IPIP of a wrong source":       {"input", meet(inIPIP("192.0.2.2", "192.0.2.1", "10.244.3.7")), true},
		"IPIP of a stranger":           {"input", meet(inIPIP("192.0.2.9", "192.0.2.1", "10.244.2.7")), true},
		"IPIP of another tunnel":       {"input", meet(inIPIP("192.0.2.9", "192.0.2.1", "172.16.0.1")), false},
		"IPIP to another address":      {"input", meet(inIPIP("192.0.2.9", "198.51.100.1", "10.244.2.7")), false},
		"IPIP by a container":          {"input", by("veth1", "veth", false, meet(inIPIP("192.0.2.2", "192.0.2.1", "10.244.2.7"))), true},
		"by our IPIP device":           {"prerouting", by("flannel.ipip", "ipip", true, meet(plain(2, "10.244.2.7"))), false},
		"by our IPIP device, outside":  {"prerouting", by("flannel.ipip", "ipip", true, meet(plain(2, "172.16.0.1"))), true},
		"direct":                       {"prerouting", meet(plain(2, "10.244.2.7")), false},
		"direct of a larger lease":     {"prerouting", meet(plain(32, "10.244.40.7")), false},
		"direct of a wrong source":     {"prerouting", meet(plain(2, "10.244.3.7")), true},
		"direct of a stranger":         {"prerouting", meet(plain(9, "10.244.2.7")), true},
		"direct of an unknown lease":   {"prerouting", meet(plain(9, "10.244.9.7")), true},
		"from outside the network":     {"prerouting", meet(plain(9, "203.0.113.7")), false},
		"from the network by a tunnel": {"prerouting", by("flannel.1", "vxlan", true, meet(plain(9, "10.244.2.7"))), false},
		"from the network by docker0":  {"prerouting", by("docker0", "bridge", true, meet(plain(9, "10.244.2.7"))), false},
	} {
		for _, fib := range []bool{true, false} {
			want := c.drop || !fib && name == "VXLAN by a bridge to the member"
			if got := nfttest.Run(t, testTable(asIs, fib), c.hook, c.p) == expr.VerdictDrop; got != want {
				t.Errorf("%s, fib %t: dropped %t", name, fib, got)
			}
		}
	}
}

func TestRulesMarkWhatWasChecked(t *testing.T) {
	for name, c := range map[string]struct {
		hook string
		p    *nfttest.Packet
		mark uint32
	}{
		"direct":              {"prerouting", meet(plain(2, "10.244.2.7")), Mark},
		"direct, forged":      {"prerouting", meet(plain(9, "10.244.2.7")), 0},
		"outside the network": {"prerouting", meet(plain(2, "203.0.113.7")), 0},
		"of a user":           {"output", sending(1000, 5, "10.244.2.7", 17, 7), Mark | 5},
		"of a user, outside":  {"output", sending(1000, 5, "192.0.2.2", 17, 7), 5},
		"of root":             {"output", sending(0, 5, "10.244.2.7", 17, 7), 5},
		"of the daemon":       {"output", sending(900, 5, "10.244.2.7", 17, 7), 5},
		"forwarded":           {"output", sending(-1, 5, "192.0.2.2", 17, 8472), 5},
	} {
		nfttest.Run(t, testTable(asIs, true), c.hook, c.p)
		if c.p.Mark != c.mark {
			t.Errorf("%s: mark %#x, want %#x", name, c.p.Mark, c.mark)
		}
	}
}

// sending is a packet of this host to a member.
func sending(user int64, mark uint32, to string, proto byte, port uint16) *nfttest.Packet {
	network, transport := make([]byte, 20), make([]byte, 8)
	network[9] = proto
	copy(network[12:], addr("192.0.2.3").AsSlice())
	copy(network[16:], addr(to).AsSlice())
	binary.BigEndian.PutUint16(transport[2:], port)
	return &nfttest.Packet{Network: network, Transport: transport, User: user, Mark: mark}
}

func TestOnlyOurDeviceAndTheDaemonSendToTunnels(t *testing.T) {
	for name, c := range map[string]struct {
		hook string
		p    *nfttest.Packet
		drop bool
	}{
		"our device for a container": {"output", sending(-1, 0, "192.0.2.2", 17, 8472), false},
		"our device for a user":      {"output", sending(1000, Mark|7, "192.0.2.2", 17, 8472), false},
		"root":                       {"output", sending(0, 0, "192.0.2.2", 17, 8472), false},
		"the daemon":                 {"output", sending(900, 0, "192.0.2.2", 17, 8472), false},
		"a user":                     {"output", sending(1000, 0, "192.0.2.2", 17, 8472), true},
		"a user with another mark":   {"output", sending(1000, 0x2000, "192.0.2.2", 17, 8472), true},
		"the last of all users":      {"output", sending(0xffffffff, 0, "192.0.2.2", 17, 8472), true},
		"a user to another port":     {"output", sending(1000, 0, "192.0.2.2", 17, 53), false},
		"a user to another host":     {"output", sending(1000, 0, "192.0.2.9", 17, 8472), false},
		"a user by TCP":              {"output", sending(1000, 0, "192.0.2.2", 6, 8472), false},
		"a container":                {"forward", sending(-1, 0, "192.0.2.2", 17, 8472), true},
		"a container by IPIP":        {"forward", sending(-1, 0, "192.0.2.2", 4, 0), true},
		"a container to others":      {"forward", sending(-1, 0, "192.0.2.9", 4, 0), false},
		"a member through this host": {"forward", by("eth1", "", true, sending(-1, 0, "192.0.2.2", 17, 8472)), false},
		"a forged member":            {"forward", by("docker0", "bridge", false, sending(-1, 0, "192.0.2.2", 17, 8472)), true},
	} {
		if got := nfttest.Run(t, testTable(asIs, true), c.hook, c.p) == expr.VerdictDrop; got != c.drop {
			t.Errorf("%s: dropped %t", name, got)
		}
	}
}

// However many ports the peers announce, all are guarded, by few rules.
func TestEveryPortOfATunnelIsGuarded(t *testing.T) {
	c := testConfig()
	for n := range byte(10) {
		var all []Peer
		for i := range n {
			peer := testPeer(i+2, 24)
			peer.Port = 9000 + uint16(i)
			all = append(all, peer)
		}
		table := c.content(c.keysOf(all), 900, true)
		for i, peer := range all {
			for hook, user := range map[string]int64{"output": 1000, "forward": -1} {
				p := sending(user, 0, peer.Endpoint.String(), 17, peer.Port)
				if nfttest.Run(t, table, hook, p) != expr.VerdictDrop {
					t.Errorf("%d ports: %d is open at %s", n, i, hook)
				}
			}
			if p := sending(1000, 0, peer.Endpoint.String(), 17, 8999); nfttest.Run(t, table, "output", p) == expr.VerdictDrop {
				t.Errorf("%d ports: another one is dropped", n)
			}
		}
		for _, chain := range table.Chains {
			if chain.Name == "forward" && len(chain.Rules) > 5 { // one of them for IPIP
				t.Errorf("%d ports: %d rules", n, len(chain.Rules))
			}
		}
	}
}

// What is not in use has neither rule nor set.
func TestTableHasWhatIsInUse(t *testing.T) {
	for name, c := range map[string]struct {
		change        func(*Config)
		sets, chains  int
		counters      int
		hooks, noHook []string
	}{
		"all":       {asIs, 12, 10, 4, []string{"input", "prerouting", "forward", "output", "postrouting"}, nil},
		"VXLAN":     {func(c *Config) { c.IPIP, c.Direct = false, false }, 7, 7, 2, []string{"input", "forward", "output", "postrouting"}, []string{"prerouting"}},
		"IPIP":      {func(c *Config) { c.VXLAN, c.Direct = false, false }, 7, 6, 2, []string{"input", "prerouting", "forward", "postrouting"}, []string{"output"}},
		"direct":    {func(c *Config) { c.VXLAN, c.IPIP = false, false }, 4, 3, 1, []string{"prerouting", "postrouting"}, []string{"input", "forward", "output"}},
		"two paths": {func(c *Config) { c.IPIP = false }, 9, 9, 3, []string{"input", "prerouting", "postrouting"}, nil},
	} {
		table := testTable(c.change, true)
		nfttest.CheckOrder(t, table)
		if len(table.Sets) != c.sets || len(table.Chains) != c.chains || len(table.Counters) != c.counters {
			t.Errorf("%s: %d sets, %d chains, %d counters", name, len(table.Sets), len(table.Chains), len(table.Counters))
		}
		has := map[string]bool{}
		for _, chain := range table.Chains {
			has[chain.Name] = chain.Hook != nil
		}
		for _, hook := range c.hooks {
			if !has[hook] {
				t.Errorf("%s: nothing at %s", name, hook)
			}
		}
		for _, hook := range c.noHook {
			if has[hook] {
				t.Errorf("%s: a chain at %s", name, hook)
			}
		}
	}
}
