// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Lines of the machine beside the tests' own output, each on its own.
const (
	kernelMark = "@@kernel" // the kernel's version: it has booted
	beginMark  = "@@begin"  // a step's name
	endMark    = "@@end"    // a step's name, and the exit status of its program
	doneMark   = "@@done"   // every step was run
)

// report reads the output of a machine, and judges it.
type report struct {
	Kernel  string        // the booted kernel's own version
	Boot    time.Duration // until the first step began
	Passed  int           // top-level tests
	start   time.Time
	current string              // the step that runs
	passed  map[string][]string // the tests that passed, by step
	status  map[string]int
	bad     []string // failed and skipped tests
	done    bool
}

func newReport() *report {
	return &report{start: time.Now(), passed: map[string][]string{}, status: map[string]int{}}
}

// line takes the next line, and reports whether it is worth showing: results
// and logs are, marks and the beginnings of tests are not.
func (r *report) line(text string) (show bool) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return false
	}
	switch words[0] {
	case kernelMark:
		r.Kernel, r.Boot = strings.Join(words[1:], " "), time.Since(r.start)
		return false
	case beginMark:
		r.current = strings.Join(words[1:], " ")
		return false
	case endMark:
		if status, err := strconv.Atoi(words[len(words)-1]); err == nil {
			r.status[r.current] = status
		}
		r.current = ""
		return false
	case doneMark:
		r.done = true
		return false
	case "===":
		return false
	}
	if len(words) >= 3 && words[0] == "---" {
		r.result(strings.TrimSuffix(words[1], ":"), words[2], text[0] == '-')
	}
	return true
}

// result notes the outcome of a test, or of a part of one.
func (r *report) result(outcome, name string, whole bool) {
	switch {
	case outcome != "PASS":
		r.bad = append(r.bad, fmt.Sprintf("%s: %s %s", r.current, outcome, name))
	case whole:
		r.Passed++
		r.passed[r.current] = append(r.passed[r.current], name)
	}
}

// verdict returns what is wrong with the run of these steps. It is nil when
// each step ran to its end, passed, and skipped nothing.
func (r *report) verdict(steps []step) error {
	var faults []error
	for _, text := range r.bad {
		faults = append(faults, errors.New(text))
	}
	for _, s := range steps {
		status, ended := r.status[s.Name]
		switch {
		case !ended:
			faults = append(faults, fmt.Errorf("%s: did not end", s.Name))
		case status != 0:
			faults = append(faults, fmt.Errorf("%s: exit status %d", s.Name, status))
		case len(r.passed[s.Name]) == 0:
			faults = append(faults, fmt.Errorf("%s: no test was run", s.Name))
		}
		faults = append(faults, r.missing(s)...)
	}
	if !r.done {
		faults = append(faults, errors.New("the machine went off before its steps had ended"))
	}
	return errors.Join(faults...)
}

// interrupted reports whether the machine went off before its time although no
// test had failed, and no step had ended badly.
func (r *report) interrupted() bool {
	for _, status := range r.status {
		if status != 0 {
			return false
		}
	}
	return !r.done && len(r.bad) == 0
}

// missing names the tests that a step was to run and that did not pass.
func (r *report) missing(s step) (faults []error) {
	passed := map[string]bool{}
	for _, name := range r.passed[s.Name] {
		passed[name] = true
	}
	for _, name := range s.Tests {
		if !passed[name] {
			faults = append(faults, fmt.Errorf("%s: %s did not pass", s.Name, name))
		}
	}
	return faults
}
