// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package shortcut

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"

	"flanneld/internal/host/link/linktest"
)

// watchers are rules and queues, each with a counter of its name.
const watchers = `
	ip netns exec h1 nft add table ip seen
	ip netns exec h1 nft add chain ip seen forward { type filter hook forward priority 0 ; }
	ip netns exec h1 nft add rule ip seen forward oifname flannel0 counter
	ip netns exec h1 nft add chain ip seen output { type filter hook output priority 0 ; }
	ip netns exec h1 nft add rule ip seen output udp dport 8285 counter
	ip netns exec h1 nft add chain ip seen postrouting { type filter hook postrouting priority 0 ; }
	ip netns exec h1 nft add rule ip seen postrouting udp dport 8285 counter
	ip netns exec h1 nft add table netdev seen
	ip netns exec h1 nft add chain netdev seen egress { type filter hook egress device eth0 priority 0 ; }
	ip netns exec h1 nft add rule netdev seen egress udp dport 8285 counter
	ip netns exec h2 nft add table ip seen
	ip netns exec h2 nft add chain ip seen raw { type filter hook prerouting priority raw ; }
	ip netns exec h2 nft add rule ip seen raw udp dport 8285 counter
	ip netns exec h2 nft add chain ip seen inner { type filter hook prerouting priority raw ; }
	ip netns exec h2 nft add rule ip seen inner iifname flannel0 counter
	ip netns exec h2 nft add chain ip seen input { type filter hook input priority 0 ; }
	ip netns exec h2 nft add rule ip seen input udp dport 8285 counter
	ip netns exec h2 nft add chain ip seen forward { type filter hook forward priority 0 ; }
	ip netns exec h2 nft add rule ip seen forward iifname flannel0 counter
	ip netns exec h2 nft add table netdev seen
	ip netns exec h2 nft add chain netdev seen ingress { type filter hook ingress device eth0 priority 0 ; }
	ip netns exec h2 nft add rule netdev seen ingress udp dport 8285 counter
	ip -n h1 link set flannel0 txqueuelen 1000
	tc -n h1 qdisc add dev flannel0 root pfifo limit 1000
	tc -n h1 qdisc add dev eth0 root pfifo limit 1000
	tc -n h2 qdisc add dev docker0 root pfifo limit 1000
	tc -n h2 qdisc add dev port root pfifo limit 1000`

// What the host sees of packets that programs carry, and what it does not, as
// docs/shortcut.md says.
func TestWhatTheHostSees(t *testing.T) {
	hosts := twoHosts(t)
	ping(t, "c2", "10.244.1.2") // the bridges learn their stations
	for _, h := range hosts {
		h.ensure(t)
	}
	linktest.Script(t, watchers)
	const sent = 50 // the bridge has a few packets of its own: ARP, multicast
	linktest.Run(t, fmt.Sprintf("ip netns exec c1 ping -q -n -c %d -i 0.005 -W 1 10.244.2.2", sent))
	for _, w := range []struct {
		name, show string
		seen       bool
	}{
		{"sender's FORWARD", "ip netns exec h1 nft list chain ip seen forward", true},
		{"sender's OUTPUT", "ip netns exec h1 nft list chain ip seen output", false},
		{"sender's POSTROUTING", "ip netns exec h1 nft list chain ip seen postrouting", false},
		{"netdev egress of the underlay", "ip netns exec h1 nft list chain netdev seen egress", false},
		{"queue of flannel0", "tc -n h1 -s qdisc show dev flannel0", false},
		{"queue of the underlay", "tc -n h1 -s qdisc show dev eth0", true},
		{"receiver's raw PREROUTING, datagrams", "ip netns exec h2 nft list chain ip seen raw", false},
		{"receiver's raw PREROUTING, packets", "ip netns exec h2 nft list chain ip seen inner", true},
		{"receiver's INPUT", "ip netns exec h2 nft list chain ip seen input", false},
		{"receiver's FORWARD", "ip netns exec h2 nft list chain ip seen forward", true},
		{"netdev ingress of the underlay", "ip netns exec h2 nft list chain netdev seen ingress", false},
		{"queue of the bridge", "tc -n h2 -s qdisc show dev docker0", false},
		{"queue of the bridge's port", "tc -n h2 -s qdisc show dev port", true},
	} {
		text := linktest.Run(t, w.show)
		counts := regexp.MustCompile(`counter packets (\d+) | (\d+) pkt `).FindStringSubmatch(text)
		if counts == nil {
			t.Fatalf("%s: no counter in:\n%s", w.name, text)
		}
		if n, _ := strconv.Atoi(counts[1] + counts[2]); (n >= sent) != w.seen || !w.seen && n > sent/2 {
			t.Errorf("%s: %d of %d packets were seen:\n%s", w.name, n, sent, text)
		}
	}
}
