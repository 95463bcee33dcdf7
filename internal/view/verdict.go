// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"flanneld/internal/control"
	"flanneld/internal/problem"
	"flanneld/peers"
)

// effects are the parts that only see that packets do not arrive. Where another
// part has found why, that comes first: it says what to type.
var effects = []string{problem.PartPath, problem.PartCrossing, problem.PartMirror}

// rank orders problems: causes on this host, then effects, then what hinders no
// packet.
func rank(p control.Problem) int {
	switch p.Part {
	case problem.PartLease:
		return 0
	case problem.PartConflict, problem.PartUnderlay, problem.PartDevice, problem.PartForwarding, problem.PartBridge,
		problem.PartRoute, problem.PartRules, problem.PartFirewall, problem.PartBackend:
		return 1
	}
	if slices.Contains(effects, p.Part) {
		return 2
	}
	return 3
}

// judge adds to a status everything that is wrong, causes first, and the
// verdict. A part's own report says more than what was found about it. more are
// problems that no part reports.
func judge(out *control.Status, found findings, board *problem.Board, more ...control.Problem) {
	reported := board.All()
	byItself := func(p control.Problem) bool {
		return slices.ContainsFunc(reported, func(r problem.Reported) bool { return r.Part == p.Part })
	}
	out.Problems = slices.DeleteFunc(append(problemsOf(*out), found.problems()...), byItself)
	for _, r := range reported {
		out.Problems = append(out.Problems, control.Problem{
			Part: r.Part, Text: r.Text, Advice: r.Advice, Since: control.SecondsOf(time.Since(r.Since)),
		})
	}
	out.Problems = append(out.Problems, more...)
	slices.SortStableFunc(out.Problems, func(a, b control.Problem) int { return rank(a) - rank(b) })
	out.Health = healthOf(out.Problems, out.Paths)
}

// healthOf is the first line of `status`.
func healthOf(problems []control.Problem, paths control.Paths) control.Health {
	switch n := len(problems); {
	case n == 1:
		return control.Health{Summary: "1 problem: " + problems[0].Text}
	case n > 1:
		return control.Health{Summary: fmt.Sprintf("%d problems, the first: %s", n, problems[0].Text)}
	case paths.Unproven > 0:
		return control.Health{OK: true, Summary: fmt.Sprintf("ok, with %d new data paths not proven yet", paths.Unproven)}
	}
	return control.Health{OK: true, Summary: "ok"}
}

// problemsOf lists what a status shows to be wrong, the gravest first.
func problemsOf(s control.Status) []control.Problem {
	problems := []control.Problem{}
	add := func(part, text, advice string) {
		problems = append(problems, control.Problem{Part: part, Text: text, Advice: advice})
	}
	confirmed := s.Lease.State == peers.Confirmed.String()
	if !confirmed {
		add(problem.PartLease, leaseProblem(s.Lease), claimAdvice(s.Lease.Claim))
	}
	if confirmed && s.Device.State != control.DeviceUp {
		add(problem.PartDevice, deviceProblem(s.Device), "")
	}
	for _, c := range s.Conflicts {
		problems = append(problems, control.Problem{
			Part: problem.PartConflict, Text: fmt.Sprintf("%s is held by %s and claimed by %s", c.Subnet, c.Winner.Text(), c.Loser.Text()),
			Advice: conflictAdvice(c), Since: c.Since,
		})
	}
	return problems
}

func deviceProblem(d control.Device) string {
	text := fmt.Sprintf("device %s is %s", d.Name, d.State)
	if d.Note != "" {
		text += ": " + d.Note
	}
	return text
}

func leaseProblem(l control.Lease) string {
	text := "no lease yet"
	if l.State == peers.Lost.String() {
		text = "the lease is lost"
	}
	if l.Waiting != "" {
		text += ": " + l.Waiting
	}
	return text
}

// claimAdvice names the dead nodes that a claim waits for by their IDs. A host
// that was installed anew leaves dead ones of the same name behind.
func claimAdvice(c *control.Claim) string {
	if c == nil {
		return ""
	}
	var commands []string
	for _, m := range c.Missing {
		if m.State == peers.Dead.String() {
			commands = append(commands, "flanneld forget "+m.ID)
		}
	}
	if len(commands) == 0 {
		return ""
	}
	return "start the dead nodes, or strike out those that will not come back: " + strings.Join(commands, "; ")
}

func conflictAdvice(c control.Conflict) string {
	if c.Note != "" {
		return "correct --static-peer: " + c.Note
	}
	return fmt.Sprintf("run `flanneld leave` on %s, and start it again", c.Loser.Text())
}
