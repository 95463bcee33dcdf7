// SPDX-License-Identifier: Apache-2.0

//go:build e2e && sealed

package e2e

import (
	"slices"
	"testing"
	"time"

	"flanneld/test/lab"
)

// The tests of this file measure times and rates. They need the machine for
// themselves: `make sealed`.

// coldStart is how long the first packet may take that needs a handshake.
const coldStart = 50 * time.Millisecond

// The other host is started anew each time, so there is no session when the
// first packet is sent. Handshakes ahead of traffic come later.
func TestFirstPacketAfterAColdStart(t *testing.T) {
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	p1, p2 := sealedDuo(t, l, h1, h2, ready)
	var times []time.Duration
	for range 7 {
		h2.Daemon.Stop()
		startSealed(h2, h1).WaitReady(ready)
		lab.Eventually(t, ready, "host1 to see host2 again", func() error {
			there, err := h1.Nodes()
			if err != nil {
				return err
			}
			here, err := h2.Nodes()
			if err != nil {
				return err
			}
			n := there.Find(h2.NodeName)
			return lab.Expect(n.State == "alive" && n.Start == here.Find(h2.NodeName).Start, "it is %+v", n)
		})
		answer := p1.Ping(t, lab.Echo{To: p2.Addr})
		if !answer.From.IsValid() {
			t.Fatal("the first packet was lost")
		}
		times = append(times, answer.Time)
	}
	slices.Sort(times)
	t.Logf("first packets took %v", times)
	if median := times[len(times)/2]; median > coldStart {
		t.Errorf("the first packet took %v in the median, want %v", median, coldStart)
	}
}

// A session is renewed after two minutes, under a stream and under pings.
func TestRekeyUnderLoadLosesNothing(t *testing.T) {
	const longest = 150 * time.Second // docs/security.md: 120 s, spread by a few
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	p1, p2 := sealedDuo(t, l, h1, h2, ready)
	session(t, h1, h2)
	before := h1.Status()
	pings := p1.StartPinging(t, p2.Addr, 5*time.Millisecond)
	load := pour(t, p1, p2, 7001)
	lab.Eventually(t, longest, "a new session", func() error {
		n := h1.Status().Security.Sealing.Handshakes - before.Security.Sealing.Handshakes
		return lab.Expect(n > 0, "%d new ones", n)
	})
	load.flows(t)
	load.end(t)
	count := pings.Stop()
	t.Logf("pings: %v", count)
	if count.Lost > 0 {
		t.Errorf("lost packets: %v", count)
	}
	after := h1.Status()
	for reason, n := range after.Drops {
		if n > before.Drops[reason] {
			t.Errorf("host1 dropped %d packets: %s", n-before.Drops[reason], reason)
		}
	}
}

// A stranger sends a million messages a minute that look like handshakes. For
// comparison it sends them to a host without flanneld: to make and carry them
// costs the same.
func TestMillionGarbageHandshakesDisturbNoStream(t *testing.T) {
	const (
		perMinute = 1_000_000
		rounds    = 7
		length    = 3 * time.Second
		least     = 0.8 // what matters is the figure; below this a flood is an attack
	)
	l := lab.New(t)
	h1, h2, attacker, idle := l.Host(), l.Host(), l.Host(), l.Host()
	p1, p2 := sealedDuo(t, l, h1, h2, ready)
	sink := idle.ListenUDP(t, at(idle.Addr, 8285))
	defer sink.Close()
	conn := attacker.ListenUDP(t, at(attacker.Addr, 7777))
	defer conn.Close()
	var ratios []float64
	sent := 0
	for range rounds {
		var rates [2]float64
		for i, target := range []*lab.Host{idle, h2} {
			stop := startTorrent(t, conn, at(target.Addr, 8285), perMinute/60, garbageHandshake)
			rates[i] = lab.Throughput(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7001), length, nil)
			n, _ := stop()
			if target == h2 {
				sent += n
			}
		}
		ratios = append(ratios, rates[1]/rates[0])
	}
	var refused uint64
	for _, n := range h2.Status().Security.Sealing.Rejected {
		refused += n
	}
	slices.Sort(ratios)
	t.Logf("a stream under attack, of one without: %.3f; %d messages sent, %d refused", ratios, sent, refused)
	if median := ratios[rounds/2]; median < least {
		t.Errorf("the stream has %.3f of its rate, want %.2f at least", median, least)
	}
	if refused < uint64(sent)/2 {
		t.Errorf("only %d messages of %d reached the handshake", refused, sent)
	}
}
