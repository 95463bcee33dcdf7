// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package pathrules

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"flanneld/internal/host/link/linktest"
)

// BenchmarkCost says what the table costs for 1,000 peers: packets of 64 bytes,
// without the table and with it. The way of a packet is on one processor: the
// sender's system call, and the kernel as far as a namespace that drops it.
//
//	direct  a frame of peer 2 is forwarded to a container
//	vxlan   the same, in VXLAN
//	sent    a datagram of this host goes to peer 2 by the VXLAN device
//	other   a frame of another network is forwarded to a container
func BenchmarkCost(b *testing.B) {
	linktest.Script(b, hostTopology+strings.ReplaceAll(peerTopology, "N", "2")+`
		ip netns add sink
		ip link add sink0 type veth peer name eth0 netns sink
		ip addr add 10.244.1.1/24 dev sink0
		ip link set sink0 up
		ip -n sink link set eth0 up
		ip neigh add 10.244.1.99 lladdr 02:00:00:00:00:52 dev sink0
		ip netns exec peer2 nft add table ip sink
		ip netns exec peer2 nft add chain ip sink p { type filter hook prerouting priority -400 ; policy drop ; }
		ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0
		sysctl -qw net.ipv4.ip_forward=1`)
	defer linktest.Script(b, `
		ip link delete flannel.1
		ip link delete eth0
		ip link delete sink0
		ip addr delete 10.244.1.7/32 dev lo
		ip netns delete peer2
		ip netns delete sink
		ip netns delete wire`)
	p := NewPart("flannel0", 0)
	c := testConfig()
	c.Network = netip.MustParsePrefix("10.192.0.0/10")
	p.Want(&c)
	all := append(peers(1000), testPeer(2, 24))
	for i := range 1000 {
		all[i].Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 192 + byte(i>>8), byte(i), 0}), 24)
	}
	p.SetPeers(all)

	inner := func(from string) []byte {
		return ipv4(addr(from), addr("10.244.1.99"), 17, nil, udp(9, 7000, make([]byte, 64-28)))
	}
	w := linktest.OpenWire(b, "peer2", "eth0")
	user, err := net.Dial("udp4", "10.244.2.7:7000")
	if err != nil {
		b.Fatal(err)
	}
	defer user.Close()
	payload := make([]byte, 64-28)
	frame := func(packet []byte) func() error {
		f := ether(mac(2, 1), mac(2, 2), etherTypeIPv4, packet)
		return func() error { return w.Send(f) }
	}
	for _, way := range []struct {
		name, device string // that it leaves by
		send         func() error
	}{
		{"direct", "sink0", frame(inner("10.244.2.7"))},
		{"vxlan", "sink0", frame(ipv4(addr("192.0.2.2"), addr("192.0.2.1"), 17, nil,
			udp(4000, 8472, vxlanHeader(1, ether(mac(0x0a, 1), mac(0x0a, 2), etherTypeIPv4, inner("10.244.2.7"))))))},
		{"sent", "eth0", func() error {
			_, err := user.Write(payload)
			return err
		}},
		{"other", "sink0", frame(inner("203.0.113.7"))},
	} {
		for _, table := range []string{"without", "with"} {
			b.Run(way.name+"/"+table, func(b *testing.B) {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				var err error
				if table == "with" {
					_, err = p.Ensure(b.Context())
				} else {
					err = p.Remove(b.Context())
				}
				if err != nil {
					b.Fatal(err)
				}
				before, began := count(b, way.device), linktest.ProcessorTime(b)
				b.ResetTimer()
				for range b.N {
					if err := way.send(); err != nil {
						b.Fatal(err)
					}
				}
				b.StopTimer()
				b.ReportMetric(float64(linktest.ProcessorTime(b)-began)/float64(b.N), "cpu-ns/op")
				if got := count(b, way.device) - before; got < b.N*9/10 {
					b.Errorf("%d of %d packets arrived", got, b.N)
				}
			})
		}
	}
	if err := p.Remove(b.Context()); err != nil {
		b.Error(err)
	}
}

// count is how many packets a device has sent.
func count(b *testing.B, device string) int {
	b.Helper()
	text, err := os.ReadFile("/proc/thread-self/net/dev")
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), device+":")
	n, err := strconv.Atoi(strings.Fields(after)[9])
	if err != nil {
		b.Fatal(err)
	}
	return n
}
