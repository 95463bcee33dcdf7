// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"
)

// printed is what a machine prints that has run two steps.
const printed = `@@kernel 6.1.0-50-cloud-amd64
@@begin tun
=== RUN   TestA
--- PASS: TestA (0.10s)
=== RUN   TestB
=== RUN   TestB/one
--- PASS: TestB (0.20s)
    --- PASS: TestB/one (0.10s)
PASS
@@end tun 0
@@begin scenarios
=== RUN   TestThree
--- PASS: TestThree (9.00s)
PASS
@@end scenarios 0
@@done
`

var printedSteps = []step{{Name: "tun"}, {Name: "scenarios", Tests: []string{"TestThree"}}}

func judge(text string) (*report, []string) {
	r := newReport()
	var shown []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); r.line(line) {
			shown = append(shown, line)
		}
	}
	return r, shown
}

func TestReportOfARunThatPasses(t *testing.T) {
	r, shown := judge(printed)
	if err := r.verdict(printedSteps); err != nil {
		t.Error(err)
	}
	if r.Passed != 3 || r.Kernel != "6.1.0-50-cloud-amd64" {
		t.Errorf("%d tests passed on %q, want 3 on 6.1.0-50-cloud-amd64", r.Passed, r.Kernel)
	}
	if slices.ContainsFunc(shown, func(line string) bool { return strings.HasPrefix(line, "===") || strings.HasPrefix(line, "@@") }) {
		t.Errorf("shown: %q", shown)
	}
}

// Whatever is not a whole run in which every test passed is a failure.
func TestReportFindsWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ name, old, new, fault string }{
		{"a test that failed", "--- PASS: TestB (", "--- FAIL: TestB (", "tun: FAIL TestB"},
		{"a part that failed", "--- PASS: TestB/one", "--- FAIL: TestB/one", "tun: FAIL TestB/one"},
		{"a test that was skipped", "--- PASS: TestA", "--- SKIP: TestA", "tun: SKIP TestA"},
		{"a part that was skipped", "--- PASS: TestB/one", "--- SKIP: TestB/one", "tun: SKIP TestB/one"},
		{"an exit status", "@@end tun 0", "@@end tun 2", "tun: exit status 2"},
		{"a program that did not start", "@@end tun 0", "@@end tun -1", "tun: exit status -1"},
		{"a scenario that has another name", "TestThree", "TestFour", "scenarios: TestThree did not pass"},
		{"a step without tests", "--- PASS: TestThree (9.00s)", "testing: warning: no tests to run", "scenarios: no test was run"},
		{"a step that did not end", "@@end scenarios 0", "", "scenarios: did not end"},
		{"a machine that crashed", "@@done", "", "the machine went off"},
	} {
		r, _ := judge(strings.ReplaceAll(printed, c.old, c.new))
		if err := r.verdict(printedSteps); err == nil || !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%s: %v, want %q", c.name, err, c.fault)
		}
	}
}

func TestReleasesAreChosenByKernelOrName(t *testing.T) {
	for _, c := range []struct {
		words []string
		want  []release
	}{
		{nil, releases},
		{[]string{"6.1"}, []release{{"6.1", "bookworm", ""}}},
		{[]string{"trixie", "5.10"}, []release{{"6.12", "trixie", ""}, {"5.10", "bullseye", ""}}},
		{[]string{"newest"}, []release{{"newest", "trixie", "trixie-backports"}}},
		{[]string{"trixie-backports"}, []release{newest}},
	} {
		if got, err := choose(c.words); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, %v; want %v", c.words, got, err, c.want)
		}
	}
	if _, err := choose([]string{"2.4"}); err == nil || !strings.Contains(err.Error(), `"2.4"`) {
		t.Errorf("an unknown kernel: %v", err)
	}
}

func TestStepsArePicked(t *testing.T) {
	short, err := pick(true, nil)
	if err != nil || len(short) == 0 || slices.ContainsFunc(short, func(s step) bool { return !s.Short }) {
		t.Errorf("the short run: %v, %v", names(short), err)
	}
	if all, err := pick(false, nil); err != nil || len(all) != len(steps) {
		t.Errorf("all steps: %v, %v", names(all), err)
	}
	// Named steps run, whether they are short or not.
	if one, err := pick(true, []string{"route"}); err != nil || !slices.Equal(names(one), []string{"route"}) {
		t.Errorf("one step: %v, %v", names(one), err)
	}
	if _, err := pick(false, []string{"tun", "nothing"}); err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("an unknown step: %v", err)
	}
	if got := (step{Tests: []string{"TestA", "TestB"}}).pattern(); got != "^(TestA|TestB)$" {
		t.Errorf("pattern %q", got)
	}
}

// Only a machine that went off with nothing else wrong gets a second try.
func TestReportDetectsAnInterruptedRun(t *testing.T) {
	whole, _, _ := strings.Cut(printed, "@@begin scenarios")
	for text, want := range map[string]bool{
		printed: false,
		whole:   true,
		"":      true,
		strings.Replace(whole, "PASS: TestB (", "FAIL: TestB (", 1): false,
		strings.Replace(whole, "@@end tun 0", "@@end tun 2", 1):     false,
		strings.Replace(printed, "PASS: TestA", "SKIP: TestA", 1):   false,
		strings.Replace(whole, "@@end tun 0\n", "", 1):              true,
	} {
		if r, _ := judge(text); r.interrupted() != want {
			t.Errorf("interrupted: %v, want %v, after\n%s", r.interrupted(), want, text)
		}
	}
}
