// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"fmt"
	"net/netip"
	"strings"

	"flanneld/internal/host/bridge"
	"flanneld/internal/host/fib"
	"flanneld/internal/problem"
)

// reportDetours reports the detours that cut nodes off to the board.
func (m *Monitor) reportDetours() {
	nodes, planned := m.cfg.Snapshot().NodesByID(), m.cfg.Routes.Plan()
	var problems []problem.Problem
	for _, detour := range m.surveyor.current() {
		var cut []string
		for _, r := range planned.CutOff(detour.Prefix) {
			name := r.Name
			if n, node := nodes[r.Node]; node {
				name = nameOf(n)
			}
			cut = append(cut, name)
		}
		if len(cut) > 0 {
			problems = append(problems, detourProblem(detour, m.surveyor.device, m.surveyor.network, cut))
		}
	}
	m.cfg.Problems.Report(problem.PartRoute, problems...)
}

// cutNamed is how many nodes are named that a detour cuts off.
const cutNamed = 4

func detourProblem(d fib.Detour, device string, network netip.Prefix, cut []string) problem.Problem {
	if more := len(cut) - cutNamed; more > 0 {
		cut = append(cut[:cutNamed:cutNamed], fmt.Sprintf("%d more", more))
	}
	p := problem.Problem{Text: fmt.Sprintf("packets of %s to %s do not go to %s: %s; that cuts off %s",
		fromText(d.From), d.Prefix, device, d.Text, strings.Join(cut, ", "))}
	switch {
	case strings.HasPrefix(d.Device, "br-"), d.Device == bridge.Docker:
		p.Advice = bridge.Bridge{Name: d.Device}.MoveAway(network)
	case d.Remove != "":
		p.Advice = d.Remove
	case d.Device != "" && d.Table != 0:
		p.Advice = fmt.Sprintf("give %s other addresses, or have packets to %s looked up in table main first (ip rule; ip route show table %d)", d.Device, network, d.Table)
	default:
		p.Advice = fmt.Sprintf("look for what decides so (ip rule; %s)", askLike(d))
	}
	return p
}

// askLike is the command that asks the kernel what was asked: a rule may be
// about the packets of one bridge, source or mark alone.
func askLike(d fib.Detour) string {
	address := d.Prefix.Addr()
	if d.Prefix.Bits() < 31 { // the first is often a device's own
		address = address.Next()
	}
	words := "ip route get " + address.String()
	if len(d.From) == 0 {
		return words
	}
	from := d.From[0]
	if from.Source.IsValid() {
		words += " from " + from.Source.String()
	}
	if from.Device != "" {
		words += " iif " + from.Device
	}
	if from.Mark != 0 {
		words += fmt.Sprintf(" mark %#x", from.Mark)
	}
	return words
}

func fromText(from []fib.Origin) string {
	var names []string
	for _, o := range from {
		if o.Device == "" {
			names = append(names, "this host")
		} else {
			names = append(names, o.String())
		}
	}
	return strings.Join(names, " and ")
}

// Detours says, by node ID or static peer, what is in the way of packets to it.
func (m *Monitor) Detours() map[string][]string {
	notes, planned := map[string][]string{}, m.cfg.Routes.Plan()
	for _, detour := range m.surveyor.current() {
		for _, r := range planned.CutOff(detour.Prefix) {
			notes[r.ID] = append(notes[r.ID], fmt.Sprintf("packets of %s to %s do not go to %s: %s",
				fromText(detour.From), detour.Prefix, m.surveyor.device, detour.Text))
		}
	}
	return notes
}
