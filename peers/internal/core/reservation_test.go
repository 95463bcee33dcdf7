// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/core/sim"
	"flanneld/peers/internal/record"
)

var staticSubnet = netip.MustParsePrefix("10.244.77.0/24")

// reserveForHost gives every host but the last the last one's subnet as that of
// a static peer at its address.
func reserveForHost(n int, adjust func(last *core.Config)) func(i int, c *core.Config) {
	var others []*core.Config
	return func(i int, c *core.Config) {
		if i < n-1 {
			others = append(others, c)
			return
		}
		for _, o := range others {
			o.Reserved = []core.Reservation{{Subnet: staticSubnet, Endpoint: c.Endpoint}}
		}
		adjust(c)
	}
}

func TestAClaimFromAStaticPeersAddressIsPromisedItsSubnet(t *testing.T) {
	for name, ask := range map[string]func(*core.Config){
		"pinned":    func(c *core.Config) { c.Pin = staticSubnet },
		"preferred": func(c *core.Config) { c.Prefer = []netip.Prefix{staticSubnet} },
	} {
		for seed := range uint64(20) {
			w := sim.New(t, seed, 4, reserveForHost(4, ask))
			w.Links.Base = 20 * time.Millisecond
			w.BootInTurn(w.Hosts[:3])
			w.Hosts[3].Boot()
			w.RunUntil(5*time.Second, name+" lease", w.Hosts[3].Confirmed)
			if s, _ := w.Hosts[3].Lease(); s != staticSubnet {
				t.Fatalf("%s, seed %d: it holds %s, want %s\n%s", name, seed, s, staticSubnet, w.Dump())
			}
		}
	}
}

func TestAClaimOfAStaticPeersSubnetFromElsewhereIsRefusedWithTheReason(t *testing.T) {
	at := sim.Address(900, 8285)
	for name, place := range map[string]func(claimant *core.Config, r *core.Reservation){
		"other host":                      func(_ *core.Config, r *core.Reservation) { r.Endpoint = at },
		"other host, without a port":      func(_ *core.Config, r *core.Reservation) { r.Endpoint = netip.AddrPortFrom(at.Addr(), 0) },
		"data alone is at that address":   func(c *core.Config, r *core.Reservation) { c.Endpoint, r.Endpoint = at, at },
		"gossip alone is at that address": func(c *core.Config, r *core.Reservation) { r.Endpoint, c.Endpoint = c.Endpoint, at },
	} {
		w := sim.New(t, 5, 3, nil)
		reserved := core.Reservation{Subnet: staticSubnet}
		w.Hosts[2].Config.Pin = staticSubnet
		reserved.Endpoint = w.Hosts[2].Config.Endpoint
		place(&w.Hosts[2].Config, &reserved)
		for _, h := range w.Hosts[:2] {
			h.Config.Reserved = []core.Reservation{reserved}
		}
		w.BootInTurn(w.Hosts[:2])
		w.Hosts[2].Boot()
		want := "node host0 has 10.244.77.0/24 as --static-peer at " + strings.TrimSuffix(reserved.Endpoint.String(), ":0")
		alt := strings.Replace(want, "host0", "host1", 1)
		says := func() bool {
			waiting := w.Hosts[2].Core.View().Waiting
			return strings.HasPrefix(waiting, want) || strings.HasPrefix(waiting, alt)
		}
		w.RunUntil(5*time.Second, name+": the reason", says)
		for range 100 { // it stays there, and does not come and go with each claim
			w.Run(100 * time.Millisecond)
			if !says() {
				t.Fatalf("%s: it waits for %q", name, w.Hosts[2].Core.View().Waiting)
			}
		}
		if w.Hosts[2].Confirmed() {
			t.Fatalf("%s: the subnet was granted", name)
		}
		if n := countLogs(w.Hosts[0], "refused a claim of a static peer's subnet"); n != 1 {
			t.Errorf("%s: host0 logged it %d times in 10 s, want once", name, n)
		}
		for _, h := range w.Hosts[:2] { // the operator corrects the list
			h.Config.Reserved = nil
			h.Crash()
			h.Boot()
		}
		w.RunUntil(time.Minute, "granted without the reservation", w.Hosts[2].Confirmed)
		if waiting := w.Hosts[2].Core.View().Waiting; waiting != "" {
			t.Errorf("%s: it still says %q", name, waiting)
		}
	}
}

func countLogs(h *sim.Host, text string) (n int) {
	for _, line := range h.Logs {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func TestAFreePreferredSubnetIsHeldAndAnyOtherIsPassedOver(t *testing.T) {
	prefixes := func(texts ...string) (all []netip.Prefix) {
		for _, text := range texts {
			all = append(all, netip.MustParsePrefix(text))
		}
		return all
	}
	for _, c := range []struct {
		name   string
		prefer []netip.Prefix
		want   string // "": any but the preferred
	}{
		{"free", prefixes("10.244.50.0/24"), "10.244.50.0/24"},
		{"the second is free", prefixes("10.244.40.0/24", "10.244.50.0/24"), "10.244.50.0/24"},
		{"none of the network's", prefixes("172.17.0.0/16", "10.244.0.0/16", "10.244.50.0/25", "10.244.50.0/24"), "10.244.50.0/24"},
		{"a part of one", prefixes("10.244.50.128/25"), "10.244.50.0/24"},
		{"the first is not handed out", prefixes("10.244.0.0/24"), ""},
		{"beyond --subnet-max", prefixes("10.244.200.0/24"), ""},
		{"held", prefixes("10.244.40.0/24"), ""},
	} {
		for founds := range 2 { // the node in question founds, or joins
			w := sim.New(t, 3, 2, func(i int, cfg *core.Config) {
				if i == 0 {
					cfg.Want.SubnetMax = netip.MustParseAddr("10.244.100.0")
				}
				if i != founds {
					cfg.Prefer = c.prefer
				} else if i == 0 {
					cfg.Pin = netip.MustParsePrefix("10.244.40.0/24")
				}
			})
			h := w.Hosts[1-founds]
			if founds == 1 && (c.name == "held" || c.name == "the second is free") {
				continue // a founder finds nothing held
			}
			w.BootInTurn(w.Hosts)
			got, _ := h.Lease()
			if c.want != "" && got.String() != c.want {
				t.Errorf("%s: host%d holds %s, want %s", c.name, h.Index, got, c.want)
			}
			if c.want == "" && got == c.prefer[0] {
				t.Errorf("%s: host%d holds %s", c.name, h.Index, got)
			}
			for _, n := range h.Core.View().Nodes {
				if n.Self && n.Lease.Pinned {
					t.Errorf("%s: a preferred lease is pinned", c.name)
				}
			}
		}
	}
}

// Only an address from another node's answer is displayed, and no other text.
func TestARefusalShowsNoTextOfTheOtherNode(t *testing.T) {
	w := sim.New(t, 6, 2, nil)
	w.BootInTurn(w.Hosts)
	c := w.Hosts[1].Core
	slot, _ := c.Network().SlotOf(staticSubnet)
	for static, want := range map[string]bool{
		"192.0.2.9:8285": true, "": false, "\x1b[31mroot:8285": false, "192.0.2.9:8285\nlease lost": false, strings.Repeat("9", 1<<12): false,
	} {
		got := c.Inside().Refusal(record.Answer{Slot: slot, Verdict: record.Taken, Static: static})
		if (got != "") != want || strings.ContainsAny(got, "\x1b\n") {
			t.Errorf("%.40q gives %q", static, got)
		}
	}
}
