// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package faults

import (
	"errors"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// cut is a way to cut a network, and the expected behavior during the cut.
// Hosts are numbered from 0. The newcomers come after the others and start
// during the cut.
type cut struct {
	name    string
	hosts   int // with a lease when the cut begins
	ways    func(hosts []*lab.Host) []lab.Way
	talks   [][2]int    // hosts that can talk all the time
	served  []int       // newcomers that get a lease during the cut,
	waiting []int       // hosts that must not get a lease
	joins   map[int]int // the host that each newcomer is told to join
}

// parts picks hosts by their numbers.
func parts(hosts []*lab.Host, numbers ...int) []*lab.Host {
	var picked []*lab.Host
	for _, n := range numbers {
		picked = append(picked, hosts[n])
	}
	return picked
}

var cuts = []cut{{
	// 0 1 2 5 | 3 4 6
	name: "in two", hosts: 5,
	ways:   func(h []*lab.Host) []lab.Way { return lab.Between(parts(h, 0, 1, 2, 5), parts(h, 3, 4, 6)) },
	talks:  [][2]int{{0, 2}, {3, 4}},
	served: []int{5}, waiting: []int{6}, joins: map[int]int{5: 1, 6: 3},
}, {
	// 0 1 2 5 -> 3 4 6, and nothing comes back
	name: "one way", hosts: 5,
	ways:   func(h []*lab.Host) []lab.Way { return lab.OneWay(parts(h, 3, 4, 6), parts(h, 0, 1, 2, 5)) },
	talks:  [][2]int{{0, 2}, {3, 4}},
	served: []int{5}, waiting: []int{6}, joins: map[int]int{5: 1, 6: 3},
}, {
	// 0 1 | 3 4 5, but both sides see 2
	name: "with a bridging node", hosts: 5,
	ways:   func(h []*lab.Host) []lab.Way { return lab.Between(parts(h, 0, 1), parts(h, 3, 4, 5)) },
	talks:  [][2]int{{0, 1}, {1, 2}, {2, 3}, {3, 4}},
	served: []int{5}, joins: map[int]int{5: 2},
}, {
	// 0 - 1 - 2 - 3 - 4 - 5 - 0, and 6 hangs on 0 alone
	name: "to a ring", hosts: 6,
	ways: func(h []*lab.Host) []lab.Way {
		var ways []lab.Way
		for i := range 6 {
			others := parts(h, (i+2)%6, (i+3)%6, (i+4)%6)
			if i != 0 {
				others = append(others, h[6])
			}
			ways = append(ways, lab.OneWay(parts(h, i), others)...)
			if i != 0 {
				ways = append(ways, lab.Way{From: h[6], To: h[i]})
			}
		}
		return ways
	},
	talks:   [][2]int{{0, 1}, {2, 3}, {4, 5}},
	waiting: []int{6}, joins: map[int]int{6: 0},
}}

func TestCut(t *testing.T) {
	t.Parallel()
	length := time.Duration(setting(t, cutVariable, 16)) * time.Second
	for _, c := range cuts {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, length)
		})
	}
}

// run makes the cut, looks at both sides while it lasts, heals it, and waits.
func (c cut) run(t *testing.T, length time.Duration) {
	l := lab.New(t)
	old := l.Network(c.hosts)
	before := leasesOf(old)
	all := old
	for range c.joins {
		all = append(all, l.Host())
	}
	talks := converse(t, all, c.talks)

	end := time.Now().Add(length)
	l.Block(c.ways(all)...)
	for newcomer, member := range c.joins {
		all[newcomer].Start("--join", all[member].Addr.String())
	}
	for _, n := range c.served {
		all[n].Daemon.WaitReady(length)
	}
	for _, n := range c.waiting {
		h := all[n]
		lab.Eventually(t, length, h.NodeName+" to say what it is waiting for", func() error {
			said, err := waitingFor(h)
			return errors.Join(err, lab.Expect(strings.Contains(said, "are needed; no answer from host"), "it says %q", said))
		})
	}
	<-time.After(time.Until(end))
	for _, n := range c.waiting {
		if all[n].SubnetFile() != nil {
			t.Errorf("%s has %v, and no majority to have it from", all[n].NodeName, all[n].Lease())
		}
	}
	before.unchanged(t, nil)
	inTouch(t, talks)

	l.Mend()
	start := time.Now()
	for _, n := range c.waiting {
		all[n].Daemon.WaitReady(healed)
	}
	lab.WaitAgreed(t, all, len(all), healed-time.Since(start))
	took := time.Since(start)
	t.Logf("tables equal %.1f s after a cut of %v", took.Seconds(), length)
	before.unchanged(t, all)
	allReachEachOther(t, all)
}

// waitingFor is the waiting line of the status.
func waitingFor(h *lab.Host) (string, error) {
	var s lab.Status
	err := h.JSON(&s, "status")
	return s.Lease.Waiting, err
}

// TestCutThatComesAndGoes cuts two of five off and back on for as long as the
// others last, at random moments.
func TestCutThatComesAndGoes(t *testing.T) {
	t.Parallel()
	length := time.Duration(setting(t, cutVariable, 16)) * time.Second
	random := randomness(seed(t), 0)
	l := lab.New(t)
	hosts := l.Network(5)
	before := leasesOf(hosts)
	talks := converse(t, hosts, [][2]int{{0, 2}, {3, 4}})
	ways := lab.Between(hosts[:3], hosts[3:])
	times := 0
	for end := time.Now().Add(length); time.Now().Before(end); times++ {
		l.Block(ways...)
		<-time.After(between(random, 200*time.Millisecond, 3*time.Second))
		l.Mend()
		<-time.After(between(random, 200*time.Millisecond, time.Second))
	}
	inTouch(t, talks)
	took := lab.WaitAgreed(t, hosts, len(hosts), healed)
	t.Logf("tables equal %.1f s after %d cuts", took.Seconds(), times)
	before.unchanged(t, hosts)
	allReachEachOther(t, hosts)
}

// TestLossOfThirtyPercent loses that share of all packets, gossip included.
func TestLossOfThirtyPercent(t *testing.T) {
	t.Parallel()
	length := time.Duration(setting(t, cutVariable, 16)) * time.Second
	l := lab.New(t)
	hosts := l.Network(5)
	before := leasesOf(hosts)
	end := time.Now().Add(length)
	l.Lose(30)
	newcomer := l.Host()
	start := time.Now()
	newcomer.Start("--join", hosts[0].Addr.String()).WaitReady(3 * ready)
	t.Logf("a lease after %.1f s, while every third packet is lost", time.Since(start).Seconds())
	hosts = append(hosts, newcomer)
	<-time.After(time.Until(end))
	before.unchanged(t, nil)
	lab.WaitAgreed(t, hosts, len(hosts), healed) // with the loss
	before.unchanged(t, hosts)
	l.Mend()
	allReachEachOther(t, hosts)
}
