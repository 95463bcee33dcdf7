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
// bridges of its containers.
func (m *Monitor) newCrossing() *probe.Crossing {
	source, _ := m.strangerSource()
	tries := 0
	return probe.NewCrossing(probe.CrossingConfig{
		Source: source,
		Pick: func() []probe.Beyond {
			if _, free := m.strangerSource(); !free {
				return nil // the answers would go to the node that has it
			}
			found, err := bridge.List()
			if err != nil {
				return nil
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

// beyond picks an address behind each bridge that has the lease's addresses: in
// the upper half of its subnet, another one at each try. A bridge without room
// is passed over.
func beyond(found []bridge.Bridge, lease netip.Prefix, try int) (all []probe.Beyond) {
	for _, b := range found {
		if a := behind(b, lease, try); a.IsValid() {
			all = append(all, probe.Beyond{Addr: a, Bridge: b.Name})
		}
	}
	return all
}

// behind picks an address behind one bridge; zero where there is none.
func behind(b bridge.Bridge, lease netip.Prefix, try int) netip.Addr {
	const roomy = 29 // bits: six addresses for hosts
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
			return a
		}
	}
	return netip.Addr{}
}

func (m *Monitor) reportCrossing() {
	var problems []problem.Problem
	for _, s := range m.crossing.States() {
		problems = append(problems, m.crossingProblems(s.State, s.Bridge)...)
	}
	m.cfg.Problems.Report(problem.PartCrossing, problems...)
	m.cfg.Crossed()
}

// crossingProblems says what keeps packets from a bridge.
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
