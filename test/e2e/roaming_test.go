// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// NAT gives the packets of a host a source at which it receives nothing. Others
// ask there, and go on to send to its record's endpoint.
func TestNATMovesNoSealedHost(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	const source = "192.168.50.99"
	h2.Exec(t, "nft", "add table ip nat; add chain ip nat source { type nat hook postrouting priority 100; }; "+
		"add rule ip nat source ip daddr "+h1.Addr.String()+" udp dport 8285 snat to "+source)
	p1, p2 := sealedDuo(t, l, h1, h2, 5*time.Second)
	pings := p1.StartPinging(t, p2.Addr, 20*time.Millisecond)
	lab.Eventually(t, 10*time.Second, "host1 to ask at the source of NAT", func() error {
		known := h1.Exec(t, "ip", "neighbor", "show", source)
		return lab.Expect(strings.Contains(known, source), "it knows %q", known)
	})
	<-time.After(2 * time.Second) // for the questions that are not answered
	nodes, err := h1.Nodes()
	if err != nil {
		t.Fatal(err)
	}
	if n := nodes.Find(h2.NodeName); n.Roamed != "" || n.Sealed.State != "session" {
		t.Errorf("host1 shows %+v", n)
	}
	got := pings.Stop()
	t.Logf("pings: %v", got)
	if got.Lost > got.Sent/10 {
		t.Errorf("pings: %v", got)
	}
}

// Gossip cannot tell that the host has another address: the switch drops it.
// The host's own sealed packets do, and those of the others follow.
func TestSealedHostIsSentToWhereItIsBeforeGossipSaysSo(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	p1, p2 := sealedDuo(t, l, h1, h2, 5*time.Second)
	old, moved := at(h2.Addr, 8285).String(), "192.168.50.72"
	pings := p1.StartPinging(t, p2.Addr, 20*time.Millisecond)
	l.Drop("meta l4proto { tcp, udp } th dport 8286")
	start := time.Now()
	readdress(t, h2, moved)
	lab.Eventually(t, ready, "host1 to show where host2 is", func() error {
		nodes, err := h1.Nodes()
		if err != nil {
			return err
		}
		n := nodes.Find(h2.NodeName)
		return lab.Expect(n.Roamed == moved+":8285" && n.Endpoint == old, "%+v", n)
	})
	known := time.Since(start)
	p1.Reachable(t, p2.Addr, 5*time.Second)
	p2.Reachable(t, p1.Addr, 5*time.Second)
	got := pings.Stop()
	t.Logf("shown after %v; pings: %v", known.Round(10*time.Millisecond), got)
	if got.Gap > 5*time.Second {
		t.Errorf("pings: %v", got)
	}
	mentions(t, "route get", h1.MustFlanneld("route", "get", p2.Addr.String()), moved+":8285")
	mentions(t, "events", h1.MustFlanneld("events", "--kind", "member"), "the endpoint of host2", "roamed from "+old+" to "+moved+":8285")
}
