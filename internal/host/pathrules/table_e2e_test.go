// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package pathrules

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"flanneld/internal/host/link/linktest"
	"flanneld/internal/host/ruleset"
)

func peers(n int) (all []Peer) {
	for i := range n {
		b := [2]byte{byte(i >> 8), byte(i)}
		all = append(all, Peer{
			Prefix:   netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 64 + b[0], b[1], 0}), 24),
			Endpoint: netip.AddrFrom4([4]byte{192, 168, b[0], b[1]}),
			MAC:      net.HardwareAddr{2, 0, 0, 0, b[0], b[1]},
			Port:     8472, VXLAN: true, IPIP: true, Direct: true,
		})
	}
	return all
}

func largeConfig() *Config {
	c := testConfig()
	c.Network = netip.MustParsePrefix("10.64.0.0/10")
	return &c
}

// Whatever is taken away, added or changed comes back; a lasting difference is
// seen by Check.
func TestTableIsPutBack(t *testing.T) {
	p := newPart(t)
	before := listed(t)
	for _, damage := range []string{
		"nft flush ruleset",
		"nft delete table ip flanneld-paths-flannel0",
		"nft flush table ip flanneld-paths-flannel0",
		"nft flush chain ip flanneld-paths-flannel0 prerouting",
		"nft flush set ip flanneld-paths-flannel0 vxlan-24",
		"nft insert rule ip flanneld-paths-flannel0 input accept",
		"nft add element ip flanneld-paths-flannel0 vxlan-24 { 192.0.2.9 . 10.244.9.0 }",
		"nft delete element ip flanneld-paths-flannel0 direct-24 { 02:00:00:00:00:02 . 10.244.2.0 }",
		"nft add chain ip flanneld-paths-flannel0 input { policy drop ; }",
		"nft add chain ip flanneld-paths-flannel0 more { type filter hook input priority 0 ; policy drop ; }",
	} {
		linktest.Run(t, damage)
		if wrong, err := p.Check(t.Context()); err != nil || len(wrong) == 0 {
			t.Errorf("Check sees nothing of %q: %v", damage, err)
		}
		ensure(t, p, 1)
		if after := listed(t); after != before {
			t.Errorf("after %s: %s\nbefore: %s", damage, after, before)
		}
	}
	linktest.Run(t, "nft add table ip other")
	ensure(t, p, 0)
	linktest.Run(t, "nft delete table ip other")
}

// listed is the table's lines, ordered: chains that were repaired come last.
func listed(t *testing.T) string {
	t.Helper()
	lines := strings.Split(linktest.Run(t, "nft list table ip flanneld-paths-flannel0"), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestRestartTakesOverTableAndCounts(t *testing.T) {
	hosts(t)
	s := listen(t, "udp4", ":7000")
	first := newPart(t)
	for range 3 {
		datagram(t, "peer2", "10.244.2.7", "10.244.1.7:7000")
		s.got(t, arrives)
	}
	datagram(t, "peer9", "10.244.9.7", "10.244.1.7:7000")
	s.got(t, mustNotBy)
	key := Key{netip.MustParsePrefix("10.244.2.0/24"), VXLAN}
	counts := func(when string, p *Part) {
		t.Helper()
		if got := arrivedBy(p)[key].Packets; got != 3 {
			t.Errorf("%s: %d packets arrived, want 3", when, got)
		}
		if got := p.Refused()[VXLAN].Packets; got != 1 {
			t.Errorf("%s: %d packets refused, want 1", when, got)
		}
	}
	counts("at first", first)
	before := listed(t)
	early := NewPart("flannel0", 65534) // its peers are not known yet
	config := testConfig()
	early.Want(&config)
	ensure(t, early, 0)
	if after := listed(t); after != before {
		t.Errorf("a process without peers has changed the table: %s\nbefore: %s", after, before)
	}
	second := NewPart("flannel0", 65534)
	if wrong, err := second.Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Errorf("before it is wanted: %q, %v", wrong, err)
	}
	c := testConfig()
	second.Want(&c)
	if wrong, err := second.Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Errorf("before the first Ensure: %q, %v", wrong, err)
	}
	second.SetPeers([]Peer{testPeer(2, 24), testPeer(5, 20)}) // another length: other rules
	ensure(t, second, 0)
	counts("after a restart", second)
	third := NewPart("flannel0", 65534)
	third.Want(&c)
	peer := testPeer(2, 24)
	peer.MAC = nil // the neighbor is being looked up
	third.SetPeers([]Peer{peer, testPeer(5, 20)})
	ensure(t, third, 0)
	if text := linktest.Run(t, "nft list set ip flanneld-paths-flannel0 direct-24"); !strings.Contains(text, "02:00:00:00:00:02 . 10.244.2.0") {
		t.Errorf("the neighbor is forgotten: %s", text)
	}
	ensure(t, second, 0)
	linktest.Run(t, "nft flush chain ip flanneld-paths-flannel0 input")
	ensure(t, second, 1)
	counts("after a repair", second)
	c.Underlay, c.IPIP = "eth1", false
	second.Want(&c)
	ensure(t, second, 0)
	counts("with other settings", second)
	text := linktest.Run(t, "nft list table ip flanneld-paths-flannel0")
	if strings.Contains(text, "ipip") || strings.Contains(text, "eth0") || !strings.Contains(text, "eth1") {
		t.Errorf("it is not as configured:\n%s", text)
	}
	c.VXLAN, c.Direct = false, false
	second.Want(&c)
	ensure(t, second, 1)
	if left := second.Present(); left != nil {
		t.Errorf("without any path there is %q", left)
	}
	ensure(t, second, 0)
}

// A set of that name that would not count, or has other keys, is made anew.
func TestForeignSetsOfThatNameAreReplaced(t *testing.T) {
	linktest.Script(t, `
		nft add table ip flanneld-paths-flannel0
		nft add set ip flanneld-paths-flannel0 vxlan-24 { type ipv4_addr . ipv4_addr ; }
		nft add element ip flanneld-paths-flannel0 vxlan-24 { 192.0.2.2 . 10.244.2.0 }
		nft add set ip flanneld-paths-flannel0 direct-24 { type ipv4_addr ; }
		nft add set ip flanneld-paths-flannel0 other { type ipv4_addr ; }
		nft add chain ip flanneld-paths-flannel0 input { type filter hook input priority 5 ; policy drop ; }
		nft add rule ip flanneld-paths-flannel0 input ip saddr . ip daddr @vxlan-24 accept`)
	p := NewPart("flannel0", 65534)
	c := testConfig()
	p.Want(&c)
	p.SetPeers([]Peer{testPeer(2, 24), testPeer(3, 24)})
	ensure(t, p, 0)
	after := listed(t)
	if err := p.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	newPart(t)
	if fresh := listed(t); after != fresh {
		t.Errorf("taken over: %s\nmade: %s", after, fresh)
	}
}

func TestTableOfAThousandPeers(t *testing.T) {
	for _, n := range []int{1000, 5000} {
		p := NewPart("flannel0", 65534)
		p.Want(largeConfig())
		p.SetPeers(peers(n))
		start := time.Now()
		if _, err := p.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d peers, written in %v", n, time.Since(start))
		start = time.Now()
		p.SetPeers(peers(n - 1))
		if _, err := p.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Logf("one less in %v", time.Since(start))
		start = time.Now()
		if got := len(arrivedBy(p)); got != 3*(n-1) {
			t.Errorf("%d counts", got)
		}
		t.Logf("counts read in %v", time.Since(start))
		ensure(t, p, 0)
		linktest.Run(t, "nft delete table ip flanneld-paths-flannel0")
		ensure(t, p, 1)
		for _, path := range paths {
			if got := strings.Count(linktest.Run(t, "nft list set ip flanneld-paths-flannel0 "+path+"-24"), "counter packets"); got != n-1 {
				t.Errorf("%d peers in the set of %s, want %d", got, path, n-1)
			}
		}
		if err := p.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// One change of one peer is one transaction, and touches this peer's keys only.
func TestAChangeIsOneTransaction(t *testing.T) {
	p := newPart(t)
	keys := func() map[string]bool {
		all := map[string]bool{}
		for _, word := range strings.Split(linktest.Run(t, "nft list table ip flanneld-paths-flannel0"), "elements = {")[1:] {
			word, _, _ = strings.Cut(word, "}")
			for _, key := range strings.Split(word, ",") {
				key, _, _ = strings.Cut(key, "counter")
				all[strings.TrimSpace(key)] = true
			}
		}
		return all
	}
	generation := func() uint32 {
		t.Helper()
		n, err := ruleset.Generation()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before, began := keys(), generation()
	moved := testPeer(3, 24)
	moved.Endpoint, moved.MAC = netip.MustParseAddr("192.0.2.33"), mac(2, 33)
	p.SetPeers([]Peer{testPeer(2, 24), moved})
	if _, err := p.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := generation() - began; n != 1 {
		t.Errorf("%d transactions", n)
	}
	gone, come := 0, 0
	after := keys()
	for key := range before {
		if !after[key] {
			gone++
		}
	}
	for key := range after {
		if !before[key] {
			come++
		}
	}
	// Address, address with port, address with prefix of two paths, and MAC.
	if gone != 4 || come != 4 {
		t.Errorf("%d keys gone, %d come:\n%v\n%v", gone, come, before, after)
	}
}

// While a process takes the table over, and while rules and keys change, what
// belongs to a member is let in.
func TestNothingIsLostWhileTheTableChanges(t *testing.T) {
	hosts(t)
	s := listen(t, "udp4", ":7000")
	w := linktest.OpenWire(t, "peer9", "eth0")
	newPart(t)
	inner := func(n byte) []byte {
		return ipv4(addr("10.244.2.7"), addr("10.244.1.7"), 17, nil, udp(9, 7000, []byte{n}))
	}
	frames := [][]byte{
		ether(mac(2, 1), mac(2, 2), etherTypeIPv4, inner(0)),
		ether(mac(2, 1), mac(2, 2), etherTypeIPv4, ipv4(addr("192.0.2.2"), addr("192.0.2.1"), 17, nil,
			udp(4000, 8472, vxlanHeader(1, ether(mac(0x0a, 1), mac(0x0a, 2), etherTypeIPv4, inner(1)))))),
	}
	var arrived [2]int
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 16)
		for {
			if _, _, err := s.ReadFrom(buf); err != nil {
				return
			}
			arrived[buf[0]&1]++
		}
	}()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c := testConfig()
		unknown := testPeer(2, 24)
		unknown.MAC = nil
		for i := range 40 {
			p := NewPart("flannel0", 65534)
			p.Want(&c)
			for _, peers := range [][]Peer{nil, {unknown}, {testPeer(2, 24), testPeer(3, 24), testPeer(5, 20)}, {testPeer(2, 24), testPeer(byte(i+10), 24)}} {
				if peers != nil {
					p.SetPeers(peers)
				}
				if _, err := p.Ensure(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	sent := 0
	for run := true; run; sent++ {
		select {
		case <-done:
			run = false
		default:
		}
		for _, f := range frames {
			w.MustSend(t, f)
		}
		time.Sleep(200 * time.Microsecond)
	}
	time.Sleep(mustNotBy)
	s.Close()
	<-ended
	if arrived != [2]int{sent, sent} {
		t.Errorf("of %d packets each %d arrived directly, %d by VXLAN", sent, arrived[0], arrived[1])
	}
}
