// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package faults

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// migration is five hosts that run flannel's udp backend, each with a pod, and
// are moved one by one.
type migration struct {
	t      *testing.T
	hosts  []*lab.Host
	leases leases
	pods   map[*lab.Host]*lab.Pod
	wires  map[netip.Prefix]netip.AddrPort // endpoint of each lease
	list   []string                        // the same static peers for all hosts

	flannel map[*lab.Host]*lab.PlainHost // hosts that run flannel, still or again
	moved   []*lab.Host                  // members, in the order in which they moved
}

func flannelNetwork(t *testing.T, n int) *migration {
	t.Helper()
	l := lab.New(t)
	m := &migration{
		t: t, leases: leases{}, pods: map[*lab.Host]*lab.Pod{}, wires: map[netip.Prefix]netip.AddrPort{},
		flannel: map[*lab.Host]*lab.PlainHost{},
	}
	for i := range n {
		h := l.Host()
		lease := netip.MustParsePrefix(fmt.Sprintf("10.244.%d.0/24", 20+11*i))
		m.hosts, m.leases[h], m.wires[lease] = append(m.hosts, h), lease, at(h.Addr, 8285)
	}
	for lease, wire := range m.wires {
		m.list = append(m.list, "--static-peer", lease.String()+"="+wire.String())
	}
	for _, h := range m.hosts {
		m.runFlannel(h)
		m.pods[h] = h.Pod()
	}
	m.allPodsReachEachOther()
	return m
}

func (m *migration) runFlannel(h *lab.Host) {
	m.t.Helper()
	m.flannel[h] = h.StartFlannel(m.leases[h], 1472, m.wires)
}

func (m *migration) allPodsReachEachOther() {
	m.t.Helper()
	for _, a := range m.hosts {
		for _, b := range m.hosts {
			if a != b {
				m.pods[a].Reachable(m.t, m.pods[b].Addr, 5*time.Second)
			}
		}
	}
}

// forward moves a host to flanneld: stop the one, start the other.
func (m *migration) forward(h *lab.Host) *lab.Daemon {
	args := m.list
	if len(m.moved) > 0 {
		args = append([]string{"--join", m.moved[0].Addr.String()}, args...)
	}
	m.flannel[h].Stop()
	delete(m.flannel, h)
	d := h.Start(args...)
	m.moved = append(m.moved, h)
	return d
}

// back moves a host back to flannel: stop, clean up, start.
func (m *migration) back(h *lab.Host) {
	if status := h.Daemon.Stop(); status != 0 {
		m.t.Errorf("%s: exit status %d", h.NodeName, status)
	}
	h.MustFlanneld("cleanup")
	m.runFlannel(h)
}

// lossless runs a move under pings between the host's pod and all others, both
// ways, and of the others among themselves.
func (m *migration) lossless(what string, h *lab.Host, move func()) {
	m.t.Helper()
	const every = 10 * time.Millisecond
	pings := map[string]*lab.Pinger{}
	var stays []*lab.Host
	for _, other := range m.hosts {
		if other != h {
			pings["to "+other.NodeName] = m.pods[h].StartPinging(m.t, m.pods[other].Addr, every)
			pings["from "+other.NodeName] = m.pods[other].StartPinging(m.t, m.pods[h].Addr, every)
			stays = append(stays, other)
		}
	}
	aside := m.pods[stays[0]].StartPinging(m.t, m.pods[stays[1]].Addr, every)
	<-time.After(300 * time.Millisecond)
	move()
	<-time.After(500 * time.Millisecond)
	var longest time.Duration
	for way, p := range pings {
		c := p.Stop()
		if lost := time.Duration(c.Lost) * every; lost > time.Second {
			m.t.Errorf("%s of %s, pings %s: %v lost: %v", what, h.NodeName, way, lost, c)
		}
		longest = max(longest, c.Gap)
	}
	if c := aside.Stop(); c.Lost > 5 { // a busy machine loses some
		m.t.Errorf("%s of %s disturbs others: %v", what, h.NodeName, c)
	}
	m.t.Logf("%s of %s: longest gap %v", what, h.NodeName, longest)
}

// intact fails the test unless each host has its lease, and no daemon of
// another host has ended.
func (m *migration) intact() {
	m.t.Helper()
	for h, lease := range m.leases {
		if got := h.Lease(); got != lease {
			m.t.Errorf("%s has %v, flannel gave it %v", h.NodeName, got, lease)
		}
		if m.flannel[h] == nil && h.Daemon.Ended() {
			m.t.Errorf("the daemon of %s ended", h.NodeName)
		}
	}
}

// TestHostsMoveFromFlannelAndBackInAnyOrder: one after the other, while the
// rest goes on as it is.
func TestHostsMoveFromFlannelAndBackInAnyOrder(t *testing.T) {
	random := randomness(seed(t), 500)
	m := flannelNetwork(t, 5)
	for _, i := range random.Perm(len(m.hosts)) {
		h := m.hosts[i]
		m.lossless("move", h, func() { m.forward(h).WaitReady(ready) })
		m.intact()
	}
	lab.WaitAgreed(t, m.hosts, len(m.hosts), healed)
	m.allPodsReachEachOther()
	for _, h := range m.hosts {
		if out := h.MustFlanneld("status"); strings.Contains(strings.ToLower(out), "conflict") {
			t.Errorf("status of %s:\n%s", h.NodeName, out)
		}
		if strings.Contains(h.Daemon.Log(), "pinned=true") {
			t.Errorf("%s holds a pinned lease", h.NodeName)
		}
	}
	for _, i := range random.Perm(len(m.hosts)) {
		h := m.hosts[i]
		m.lossless("way back", h, func() { m.back(h) })
		m.intact()
	}
	m.allPodsReachEachOther()
	for _, h := range m.hosts {
		if out := h.Exec(t, "ip", "-br", "link"); strings.Contains(out, "flannel1") {
			t.Errorf("%s has another device:\n%s", h.NodeName, out)
		}
	}
}

// TestHostThatWentBackMayMoveAgain: its lease is still reserved.
func TestHostThatWentBackMayMoveAgain(t *testing.T) {
	t.Parallel()
	m := flannelNetwork(t, 3)
	for _, h := range m.hosts {
		m.forward(h).WaitReady(ready)
	}
	h := m.hosts[1]
	m.back(h)
	m.hosts[0].WaitState(h.NodeName, "dead", healed)
	m.allPodsReachEachOther() // by the static peer's entry
	m.forward(h).WaitReady(ready)
	lab.WaitAgreed(t, m.hosts, len(m.hosts), healed)
	m.intact()
	m.allPodsReachEachOther()
}
