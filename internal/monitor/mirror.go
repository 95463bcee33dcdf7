// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"fmt"
	"net/netip"

	"flanneld/internal/probe"
	"flanneld/internal/problem"
)

// mirrorID is the only target of the mirror.
const mirrorID = "mirror"

// newMirror makes the prober of this host's own device. It gives the kernel
// packets as if they came from a peer. What drops packets of peers between the
// device and this host's network stack, or answers on their way out, drops
// these.
func (m *Monitor) newMirror() *probe.Prober {
	source, _ := m.strangerSource()
	return probe.New(probe.Config{
		Source: source,
		Send:   func(_ netip.AddrPort, packet []byte) (int, error) { return 0, m.cfg.Plane.Inject(packet) },
		Changed: func() {
			r, _ := m.mirror.Result(mirrorID)
			m.reportMirror(r)
		},
	})
}

// mirrorTarget is what the mirror probes: nothing where some node has its
// source.
func (m *Monitor) mirrorTarget() []probe.Target {
	if _, free := m.strangerSource(); !free {
		return nil
	}
	return []probe.Target{{ID: mirrorID, Lease: m.cfg.Plane.Lease(), Longest: func() int { return m.cfg.Plane.Link().MTU }}}
}

func (m *Monitor) reportMirror(r probe.Result) {
	var problems []problem.Problem
	name, which := m.cfg.Plane.Link().Name, ""
	switch r.State {
	case probe.Failed:
		which = "packets"
	case probe.SmallOnly:
		which = "large packets"
	}
	if which != "" {
		problems = append(problems, problem.Problem{
			Text:   fmt.Sprintf("%s from peers get no answer from this host: they are dropped behind %s, or the answers before it", which, name),
			Advice: fmt.Sprintf("look for rules that drop packets of %s, in every table (nft list ruleset; iptables-save; iptables-legacy-save), and at rp_filter", name),
		})
	}
	m.cfg.Problems.Report(problem.PartMirror, problems...)
}
