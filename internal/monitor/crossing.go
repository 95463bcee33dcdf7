// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"flanneld/internal/host/bridge"
	"flanneld/internal/host/fib"
	"flanneld/internal/probe"
	"flanneld/internal/problem"
)

// newCrossing makes what proves that this host forwards packets of peers to the
// bridge of its containers.
func (m *Monitor) newCrossing() *probe.Crossing {
	source, _ := m.strangerSource()
	tries := 0
	return probe.NewCrossing(probe.CrossingConfig{
		Source: source,
		Pick: func() (netip.Addr, string) {
			if _, free := m.strangerSource(); !free {
				return netip.Addr{}, "" // the answers would go to the node that has it
			}
			found, err := bridge.List()
			if err != nil {
				return netip.Addr{}, ""
			}
			tries++
			return beyond(found, m.cfg.Plane.Lease(), tries)
		},
		Send:    m.cfg.Plane.Inject,
		Changed: m.reportCrossing,
	})
}

// cross runs the crossing, which tries at once when rules change, until ctx
// ends.
func (m *Monitor) cross(ctx context.Context) {
	var watching sync.WaitGroup
	watching.Go(func() { m.watchRules(ctx) })
	m.crossing.Run(ctx)
	watching.Wait()
}

// watchRules hurries the crossing when rules of any program change.
func (m *Monitor) watchRules(ctx context.Context) {
	rules := m.cfg.Rules.Subscribe()
	defer rules.Close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-rules.Changed:
			rules.Take()
			m.crossing.TrySoon()
		}
	}
}

// beyond picks an address behind a bridge that has the lease's addresses: in
// the upper half of its subnet, another one at each try. It is the zero address
// where there is no such bridge, or no room on it.
func beyond(found []bridge.Bridge, lease netip.Prefix, try int) (netip.Addr, string) {
	const roomy = 29 // bits: six addresses for hosts
	for _, b := range found {
		for _, own := range b.Addrs {
			if !lease.Contains(own.Addr()) || own.Bits() > roomy || own.Bits() < lease.Bits() {
				continue
			}
			half := 1<<(32-own.Bits())/2 - 2
			a := fib.Last(own).Prev()
			for range try % half {
				a = a.Prev()
			}
			if !b.Carries(a) {
				return a, b.Name
			}
		}
	}
	return netip.Addr{}, ""
}

func (m *Monitor) reportCrossing() {
	state, bridge := m.crossing.State()
	m.cfg.Problems.Report(problem.PartCrossing, m.crossingProblems(state, bridge)...)
	m.cfg.Crossed()
}

// crossingProblems says what keeps packets from the bridge.
func (m *Monitor) crossingProblems(state probe.CrossingState, bridge string) []problem.Problem {
	verb := ""
	switch state {
	case probe.Dropped:
		verb = "drops"
	case probe.Forbidden:
		verb = "rejects"
	default:
		return nil
	}
	device, network := m.cfg.Plane.Link().Name, m.cfg.Plane.Network()
	return []problem.Problem{{
		Text: fmt.Sprintf("packets of other hosts do not reach the containers behind %s: a rule of this host %s them between %s and %[1]s", bridge, verb, device),
		Advice: fmt.Sprintf("firewalld: firewall-cmd --permanent --zone=trusted --add-source=%s && firewall-cmd --reload; "+
			"ufw: ufw route allow in on %s out on %s; else look for it (nft list ruleset; iptables-save; iptables-legacy-save)", network, device, bridge),
	}}
}
