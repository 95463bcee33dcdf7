// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/test/lab"
)

// run runs all comparisons, one after the other.
func (o options) run() Report {
	report := Report{Machine: machine(), Version: o.version, Rounds: o.rounds, Seconds: o.length.Seconds()}
	for _, c := range o.comparisons() {
		report.Comparisons = append(report.Comparisons, o.compare(c))
	}
	progress("")
	return report
}

// compare builds a comparison's paths, lets them take turns, and takes them
// down again.
func (o options) compare(c comparison) Comparison {
	result := Comparison{Name: c.name, Title: c.title, Keys: c.keys()}
	if missing := missingCongestion(c.subjects); missing != "" {
		result.Reason = missing
		return result
	}
	lab.Run("bench", func(p *lab.Program) {
		paths := o.build(p, c, &result)
		for round := range o.rounds {
			for _, m := range c.measures {
				for i, path := range paths {
					if path != nil && !o.take(m, round+1, c.name, path, &result.Paths[i]) {
						paths[i] = nil
					}
				}
			}
		}
		if result.failed() != nil {
			p.Fatalf("%s: not measured in full", c.title) // and show the daemons' logs
		}
	})
	result.finish()
	return result
}

// build makes the paths. A path that cannot be made is nil, and the result has
// the reason.
func (o options) build(p *lab.Program, c comparison, result *Comparison) []*path {
	paths := make([]*path, len(c.subjects))
	for i, s := range c.subjects {
		progress("%s: set up %s", c.name, s.title)
		result.Paths = append(result.Paths, Path{Name: s.name, Title: s.title, Setting: s.setting, required: s.required})
		built, err := buildPath(p, s)
		if err != nil {
			result.Paths[i].Reason = firstLine(err)
			continue
		}
		paths[i] = built
	}
	return paths
}

// take takes one measurement of one path. If it fails the others go on; it
// returns false if the path is not worth another one.
func (o options) take(m measure, round int, name string, path *path, result *Path) bool {
	progress("%s, round %d of %d: %s: %s", name, round, o.rounds, m.title, path.title)
	apart := exchange()
	taken, err := takers[m.name](m, path, o)
	if err == nil {
		result.add(taken, apart)
	}
	if gone := path.alive(); gone != nil {
		result.fail(m, round, fmt.Errorf("%w; left out from here on", gone))
		return false
	}
	if err != nil {
		result.fail(m, round, err)
	}
	return true
}

// missingCongestion names the congestion control that this kernel lacks.
func missingCongestion(subjects []subject) string {
	available, err := os.ReadFile("/proc/sys/net/ipv4/tcp_available_congestion_control")
	if err != nil {
		return ""
	}
	for _, s := range subjects {
		if !slices.Contains(strings.Fields(string(available)), s.Congestion) {
			return fmt.Sprintf("this kernel has no %s, only %s", s.Congestion, strings.TrimSpace(string(available)))
		}
	}
	return ""
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// progress shows what is being done: on a terminal always in the same line.
func progress(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	switch {
	case lab.IsTerminal(os.Stderr):
		fmt.Fprintf(os.Stderr, "\r%-78s\r%s", "", line)
	case line != "":
		fmt.Fprintln(os.Stderr, line)
	}
}

// machine describes this machine.
func machine() Machine {
	var uts unix.Utsname
	unix.Uname(&uts)
	return Machine{
		Kernel:     unix.ByteSliceToString(uts.Release[:]),
		Processors: runtime.NumCPU(),
		Go:         runtime.Version(),
		Iperf:      iperfVersion(),
		Time:       time.Now().UTC().Format(time.RFC3339),
	}
}
