// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/nftables/expr"

	"flanneld/internal/host/nft"
	"flanneld/internal/host/nft/nfttest"
)

// testPacket is one that meets the table.
type testPacket struct {
	iif, kind string // device that it comes by, and its kind
	from, to  string
	proto     byte
	port      uint16
	flags     byte  // TCP
	user      int64 // of the sending socket; -1: it has none
	reached   bool  // the host's routing leads to its source by iif
	local     bool  // its destination is an address of this host
}

// packet is it with its headers.
func (p testPacket) packet() *nfttest.Packet {
	network, transport := make([]byte, 20), make([]byte, 20)
	network[9] = p.proto
	copy(network[12:], netip.MustParseAddr(p.from).AsSlice())
	copy(network[16:], netip.MustParseAddr(p.to).AsSlice())
	binary.BigEndian.PutUint16(transport, 40000)
	binary.BigEndian.PutUint16(transport[2:], p.port)
	transport[13] = p.flags
	return &nfttest.Packet{In: p.iif, Kind: p.kind, Network: network, Transport: transport, User: p.user, Reached: p.reached, Local: p.local}
}

// dropped runs a packet through a hook of the table of a configuration.
func dropped(t *testing.T, c Config, check nft.SourceCheck, hook string, p testPacket) bool {
	t.Helper()
	return nfttest.Run(t, c.content(check), hook, p.packet()) == expr.VerdictDrop
}

const (
	fin, syn, rst, ack = 1, 2, 4, 16

	us, them, static, stranger, pod = "192.168.50.11", "192.168.50.12", "192.168.50.13", "198.51.100.9", "172.17.0.2"
)

// ourConfig: us and them announce data and gossip, static only data.
func ourConfig() Config {
	return Config{Device: "flannel0", UID: 900, Underlay: []string{"eth0", "br0"}, Members: []Member{
		member(11, 8285, 8286, true), member(12, 8285, 8286, false), member(13, 9000, 0, false),
	}}
}

func TestTableDropsWhatCouldPassForAMember(t *testing.T) {
	for name, c := range map[string]struct {
		hook string
		p    testPacket
		drop bool
	}{
		// forward: what other namespaces send.
		"container to a member's data port":   {"forward", testPacket{iif: "docker0", kind: "bridge", from: pod, to: them, proto: 17, port: 8285}, true},
		"container to a static peer":          {"forward", testPacket{iif: "docker0", kind: "bridge", from: pod, to: static, proto: 17, port: 9000}, true},
		"container to a member's gossip":      {"forward", testPacket{iif: "docker0", kind: "bridge", from: pod, to: them, proto: 17, port: 8286}, true},
		"container to gossip by TCP":          {"forward", testPacket{iif: "veth1", kind: "veth", from: pod, to: them, proto: 6, port: 8286, flags: syn}, true},
		"container's connection goes on":      {"forward", testPacket{iif: "veth1", kind: "veth", from: pod, to: them, proto: 6, port: 8286, flags: ack}, true},
		"from the overlay":                    {"forward", testPacket{iif: "flannel0", kind: "tun", from: "10.244.9.2", to: them, proto: 17, port: 8286}, true},
		"container to a member's other port":  {"forward", testPacket{iif: "docker0", kind: "bridge", from: pod, to: them, proto: 17, port: 53}, false},
		"container to data by TCP":            {"forward", testPacket{iif: "docker0", kind: "bridge", from: pod, to: them, proto: 6, port: 8285}, false},
		"container to a static peer's gossip": {"forward", testPacket{iif: "docker0", kind: "bridge", from: pod, to: static, proto: 17, port: 8286}, false},
		"container to another host":           {"forward", testPacket{iif: "docker0", kind: "bridge", from: pod, to: stranger, proto: 17, port: 8285}, false},
		"ping to a member":                    {"forward", testPacket{iif: "docker0", kind: "bridge", from: pod, to: them, proto: 1}, false},
		"a host routed through us":            {"forward", testPacket{iif: "eth0", kind: "veth", from: stranger, to: them, proto: 17, port: 8286}, false},
		"data of a host routed through us":    {"forward", testPacket{iif: "eth0", kind: "veth", from: stranger, to: them, proto: 17, port: 8285}, true},
		"data of a member through us":         {"forward", testPacket{iif: "eth1", from: static, to: them, proto: 17, port: 8285, reached: true}, false},
		"data with a member's forged source":  {"forward", testPacket{iif: "docker0", kind: "bridge", from: static, to: them, proto: 17, port: 8285}, true},
		"data with our own source":            {"forward", testPacket{iif: "docker0", kind: "bridge", from: us, to: them, proto: 17, port: 8285, reached: true}, true},
		"gossip of a member in a container":   {"forward", testPacket{iif: "docker0", kind: "bridge", from: static, to: them, proto: 17, port: 8286, reached: true}, false},
		"gossip by a tunnel":                  {"forward", testPacket{iif: "wg0", kind: "wireguard", from: stranger, to: them, proto: 17, port: 8286}, false},

		// input: what comes to this host's own ports.
		"container to our data port":          {"input", testPacket{iif: "docker0", kind: "bridge", from: pod, to: us, proto: 17, port: 8285}, true},
		"container to our gossip":             {"input", testPacket{iif: "docker0", kind: "bridge", from: pod, to: us, proto: 6, port: 8286, flags: syn}, true},
		"container of another kind":           {"input", testPacket{iif: "nk0", kind: "netkit", from: pod, to: us, proto: 17, port: 8285}, true},
		"overlay to our data port":            {"input", testPacket{iif: "flannel0", kind: "tun", from: "10.244.9.2", to: us, proto: 17, port: 8285}, true},
		"overlay with a member's source":      {"input", testPacket{iif: "flannel0", kind: "tun", from: them, to: us, proto: 17, port: 8285}, true},
		"a member by the underlay":            {"input", testPacket{iif: "eth0", from: them, to: us, proto: 17, port: 8285}, false},
		"a stranger by the underlay":          {"input", testPacket{iif: "eth0", from: stranger, to: us, proto: 17, port: 8286}, false},
		"the underlay is a bridge":            {"input", testPacket{iif: "br0", kind: "bridge", from: stranger, to: us, proto: 17, port: 8286}, false},
		"another network card":                {"input", testPacket{iif: "eth1", from: stranger, to: us, proto: 17, port: 8286}, false},
		"a card with a longer name":           {"input", testPacket{iif: "docker01", kind: "bridge", from: pod, to: us, proto: 17, port: 8285}, true},
		"ourselves":                           {"input", testPacket{iif: "lo", from: us, to: us, proto: 17, port: 8285}, false},
		"container to our other port":         {"input", testPacket{iif: "docker0", kind: "bridge", from: pod, to: us, proto: 6, port: 80, flags: syn}, false},
		"a member behind our own bridge":      {"input", testPacket{iif: "br1", kind: "bridge", from: them, to: us, proto: 17, port: 8285, reached: true}, false},
		"a forged member behind a bridge":     {"input", testPacket{iif: "docker0", kind: "bridge", from: them, to: us, proto: 17, port: 8285}, true},
		"container to a port of another host": {"input", testPacket{iif: "docker0", kind: "bridge", from: pod, to: "172.17.0.1", proto: 17, port: 8285}, false},

		// output: what programs of this host send.
		"the daemon":                      {"output", testPacket{from: us, to: them, proto: 17, port: 8285, user: 900}, false},
		"root":                            {"output", testPacket{from: us, to: them, proto: 6, port: 8286, flags: syn, user: 0}, false},
		"a user to data":                  {"output", testPacket{from: us, to: them, proto: 17, port: 8285, user: 1000}, true},
		"a user to our own data port":     {"output", testPacket{from: us, to: us, proto: 17, port: 8285, user: 1000}, true},
		"a user to gossip":                {"output", testPacket{from: us, to: them, proto: 17, port: 8286, user: 1000}, true},
		"a user connects to gossip":       {"output", testPacket{from: us, to: them, proto: 6, port: 8286, flags: syn, user: 1000}, true},
		"a user connects with more flags": {"output", testPacket{from: us, to: them, proto: 6, port: 8286, flags: syn | 0xc0, user: 1000}, true}, // ECN
		"an answer to a connection":       {"output", testPacket{from: us, to: them, proto: 6, port: 8286, flags: syn | ack, user: 1000}, false},
		"the kernel ends a connection":    {"output", testPacket{from: us, to: them, proto: 6, port: 8286, flags: fin | ack, user: -1}, false},
		"the kernel resets a connection":  {"output", testPacket{from: us, to: them, proto: 6, port: 8286, flags: rst, user: -1}, false},
		"a connection without a user":     {"output", testPacket{from: us, to: them, proto: 6, port: 8286, flags: syn, user: -1}, true},
		"a datagram without a user":       {"output", testPacket{from: us, to: them, proto: 17, port: 8285, user: -1}, true},
		"the last of all users":           {"output", testPacket{from: us, to: them, proto: 17, port: 8285, user: 0xffffffff}, true},
		"a user to another port":          {"output", testPacket{from: us, to: them, proto: 17, port: 53, user: 1000}, false},
		"a user to a port of no member":   {"output", testPacket{from: us, to: static, proto: 17, port: 8286, user: 1000}, false},
	} {
		if got := dropped(t, ourConfig(), nft.InAnyHook, c.hook, c.p); got != c.drop {
			t.Errorf("%s: dropped %t", name, got)
		}
		// Where sources are checked in prerouting the outcome is the same.
		if c.p.local = c.hook == "input"; c.hook != "output" {
			c.hook = "prerouting"
		}
		if got := dropped(t, ourConfig(), nft.InPrerouting, c.hook, c.p); got != c.drop {
			t.Errorf("%s, in prerouting: dropped %t", name, got)
		}
	}
}

// Without nft_fib_ipv4 a member's source proves nothing: what comes by a
// container's device is dropped, whatever its source.
func TestWithoutFibASourceProvesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		hook string
		p    testPacket
		drop bool
	}{
		"data of a member through us": {"forward", testPacket{iif: "eth1", from: static, to: them, proto: 17, port: 8285, reached: true}, true},
		"a member behind a bridge":    {"input", testPacket{iif: "br1", kind: "bridge", from: them, to: us, proto: 17, port: 8285, reached: true}, true},
		"a member by the underlay":    {"input", testPacket{iif: "eth0", from: them, to: us, proto: 17, port: 8285}, false},
	} {
		if got := dropped(t, ourConfig(), nft.Nowhere, c.hook, c.p); got != c.drop {
			t.Errorf("%s: dropped %t", name, got)
		}
	}
}

// A daemon of root has no user of its own beside root.
func TestDaemonOfRootAddsNoUser(t *testing.T) {
	c := ourConfig()
	c.UID = 0
	for user, drop := range map[int64]bool{0: false, 900: true} {
		if got := dropped(t, c, nft.InAnyHook, "output", testPacket{from: us, to: them, proto: 17, port: 8285, user: user}); got != drop {
			t.Errorf("user %d: dropped %t", user, got)
		}
	}
	if with, without := len(ourConfig().userRules()), len(c.userRules()); with != without+1 {
		t.Errorf("%d rules with a user, %d without", with, without)
	}
}

// However many ports the members announce, all are guarded, by few rules.
func TestEveryPortIsGuarded(t *testing.T) {
	for n := range 10 {
		c := Config{Device: "flannel0", Underlay: []string{"eth0"}}
		for i := range n {
			c.Members = append(c.Members, member(byte(20+i), 9000+uint16(i), 9100+uint16(i), false))
		}
		for _, m := range c.Members {
			for _, port := range []uint16{m.Data, m.Gossip} {
				p := testPacket{iif: "docker0", kind: "bridge", from: pod, to: m.Addr.String(), proto: 17, port: port, user: 1000}
				for _, hook := range []string{"forward", "input", "output"} {
					if !dropped(t, c, nft.InAnyHook, hook, p) {
						t.Errorf("%d members: port %d is open at %s", n, port, hook)
					}
				}
				if p.port = 9999; dropped(t, c, nft.InAnyHook, "forward", p) {
					t.Errorf("%d members: another port is dropped", n)
				}
			}
		}
		for _, chain := range c.content(nft.InAnyHook).Chains {
			if chain.Hook != nil && len(chain.Rules) > 8 {
				t.Errorf("%d members: %d rules at %s", n, len(chain.Rules), chain.Name)
			}
		}
	}
}

func TestTableIsMadeInOrder(t *testing.T) {
	for _, check := range []nft.SourceCheck{nft.Nowhere, nft.InPrerouting, nft.InAnyHook} {
		nfttest.CheckOrder(t, ourConfig().content(check))
	}
}
