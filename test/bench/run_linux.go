package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/test/lab"
)

// measure runs all comparisons, one after the other.
func (o options) measure() (Report, error) {
	report := Report{Machine: machine(), Version: o.version, Rounds: o.rounds, Seconds: o.length.Seconds()}
	for _, c := range o.comparisons() {
		result, err := o.compare(c)
		if err != nil {
			return report, err
		}
		report.Comparisons = append(report.Comparisons, result)
	}
	progress("")
	return report, nil
}

// compare builds a comparison's paths, lets them take turns, and takes them
// down again.
func (o options) compare(c comparison) (result Comparison, err error) {
	result = Comparison{Name: c.name, Title: c.title, Keys: c.keys()}
	if missing := missingCongestion(c.subjects); missing != "" {
		result.Reason = missing
		return result, nil
	}
	status := lab.Run("bench", func(p *lab.Program) {
		paths := o.build(p, c, &result)
		for round := range o.rounds {
			for _, m := range c.measures {
				for i, path := range paths {
					if path == nil {
						continue
					}
					progress("%s, round %d of %d: %s: %s", c.name, round+1, o.rounds, m.title, path.title)
					o.take(p, m, round+1, path, &result.Paths[i])
				}
			}
		}
	})
	if status != 0 {
		return result, fmt.Errorf("%s: stopped", c.title)
	}
	result.finish()
	return result, nil
}

// build makes the paths; those that can't be are nil, and the result has the
// reason.
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

// take takes one measurement of one path. If it fails the others go on.
func (o options) take(p *lab.Program, m measure, round int, path *path, result *Path) {
	values, err := take(p, m, path, o)
	if err != nil {
		result.fail(m, round, errors.New(firstLine(err)))
		return
	}
	result.add(values)
}

func (c comparison) keys() (keys []string) {
	for _, m := range c.measures {
		for _, metric := range m.metrics {
			keys = append(keys, metric.key)
		}
	}
	return keys
}

// missingCongestion says which congestion control this kernel does not have.
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

// machine describes where this is measured.
func machine() Machine {
	var uts unix.Utsname
	unix.Uname(&uts)
	return Machine{
		Kernel:     unix.ByteSliceToString(uts.Release[:]),
		Processors: runtime.NumCPU(),
		Go:         runtime.Version(),
		Time:       time.Now().UTC().Format(time.RFC3339),
	}
}
