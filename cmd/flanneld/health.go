// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"

	"flanneld/internal/control"
)

// errNotWell ends a command that has shown the problems. The exit status is 1,
// and no further message is needed.
var errNotWell = errors.New("there are problems")

// drawHealth draws the first line: "ok", or what is wrong. A node that is still
// starting is no alarm.
func drawHealth(t *table, h control.Health, starting bool) {
	color := plain
	switch {
	case h.OK:
	case starting:
		color = yellow
	default:
		color = red
	}
	t.line(color, h.Summary)
}

// drawProblem draws a problem, and below it what to do about it.
func drawProblem(t *table, p control.Problem) {
	text := p.Text
	if p.Since > 0 {
		text += ", for " + since(p.Since)
	}
	t.line(yellow, "problem", text)
	if p.Advice != "" {
		t.line(plain, "  to do", p.Advice)
	}
}

// backendText counts the peers of each path, and says what this host has not.
func backendText(b control.Backend) string {
	var counts, missing []string
	for _, p := range b.Paths {
		if p.Peers > 0 {
			counts = append(counts, fmt.Sprintf("%d by %s", p.Peers, p.Path))
		}
		if p.Unavailable != "" {
			missing = append(missing, fmt.Sprintf("; %s is not available here: %s", p.Path, p.Unavailable))
		}
	}
	return dashed(strings.Join(b.Names, ",")) + ": " + listOr(counts, "no peer") + strings.Join(missing, "")
}

func backendColor(b control.Backend) string {
	for _, p := range b.Paths {
		if p.Unavailable != "" {
			return yellow
		}
	}
	return plain
}

// pathsText counts the data paths to peers by what probes have found.
func pathsText(p control.Paths) string {
	var parts []string
	for _, state := range []struct {
		count int
		name  string
	}{{p.Works, "proven"}, {p.SmallOnly, "for small packets only"}, {p.Failed, "not working"}, {p.Unproven, "not proven yet"}} {
		if state.count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", state.count, state.name))
		}
	}
	return listOr(parts, "none")
}

func pathsColor(p control.Paths) string {
	if p.Failed+p.SmallOnly > 0 {
		return yellow
	}
	return plain
}

// pathText is the cell of `nodes` about the data path to a node.
func pathText(p control.Path) string {
	switch p.State {
	case control.PathNone:
		return "-"
	case control.PathWorks:
		return strings.TrimSpace("works " + strings.TrimSuffix(roundTrip(p.RTT), "-"))
	case control.PathUnproven:
		return p.State
	}
	return strings.TrimSuffix(p.State+" "+since(p.Since), " -")
}
