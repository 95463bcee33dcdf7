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
	pods   []*lab.Pod
	wires  map[netip.Prefix]netip.AddrPort // endpoint of each lease
	list   []string                        // the same static peers for all hosts

	flannel map[*lab.Host]*lab.PlainHost // hosts that run flannel, still or again
	moved   []*lab.Host                  // members, in the order in which they moved
}

func flannelNetwork(t *testing.T, n int) *migration {
	t.Helper()
	l := lab.New(t)
	m := &migration{
		t: t, leases: leases{}, wires: map[netip.Prefix]netip.AddrPort{},
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
		m.pods = append(m.pods, h.Pod())
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
	lab.ReachEachOther(m.t, m.pods, 5*time.Second)
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

// lossless runs a move under pings, and fails the test if many are lost.
func (m *migration) lossless(what string, h *lab.Host, move func()) {
	m.t.Helper()
	if err := lab.UnderPings(m.t, what, h, m.pods, move); err != nil {
		m.t.Error(err)
	}
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
		if h.Status().Lease.Pinned {
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
