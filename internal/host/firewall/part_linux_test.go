// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flanneld/internal/host"
	"flanneld/internal/host/ruleset"
)

func TestPartWithoutIPTablesIsNoProblem(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	p := NewPart("flannel0")
	f, err := New(testConfig("flannel0"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []*Firewall{nil, f} {
		p.Want(want)
		if wrong, err := p.Check(t.Context()); err != nil || len(wrong) > 0 {
			t.Errorf("Check: %q, %v", wrong, err)
		}
		if err := p.Remove(t.Context()); err != nil {
			t.Errorf("Remove: %v", err)
		}
	}
	if _, err := p.Ensure(t.Context()); !errors.Is(err, ErrNoIPTables) {
		t.Errorf("Ensure: %v", err)
	}
	p.Want(nil)
	if changes, err := p.Ensure(t.Context()); err != nil || len(changes) > 0 {
		t.Errorf("nothing wanted: %q, %v", changes, err)
	}
}

// A failure of iptables is one problem on one line, however many tables have
// it, and says what to type.
func TestFailureOfIPTablesIsOneProblemWithAdvice(t *testing.T) {
	fakeIPTables(t, `case "$1" in --version) echo "iptables v1.8.9 (nf_tables)";; *) echo "it is
broken" >&2; exit 3;; esac`)
	p := NewPart("flannel0")
	f, err := New(testConfig("flannel0"))
	if err != nil {
		t.Fatal(err)
	}
	p.Want(f)
	_, err = p.Ensure(t.Context())
	all := host.Problems(err)
	if len(all) != 1 || !strings.HasPrefix(all[0].Text, "firewall rules cannot be put in place: ") || !strings.Contains(all[0].Advice, "by hand") {
		t.Fatalf("got %+v", all)
	}
	if strings.ContainsAny(all[0].Text, "\n") || strings.Contains(all[0].Text, "firewall: ") || !strings.Contains(all[0].Text, "it is broken") {
		t.Errorf("text %q", all[0].Text)
	}
	if cause := Cause(err); strings.HasPrefix(cause.Error(), "firewall rules cannot") {
		t.Errorf("cause %q", cause)
	}
	if plain := errors.New("x"); Cause(plain).Error() != "x" || !errors.Is(Cause(plain), plain) {
		t.Error("the cause of a plain error is another")
	}
	if _, err := p.Check(t.Context()); err == nil {
		t.Error("Check does not report it")
	}
	if err := p.Remove(t.Context()); err == nil {
		t.Error("Remove does not report it")
	}
}

// Status may ask often: iptables runs once for the same rules, and not beside
// an Ensure.
func TestRulesAreLookedAtOnceForManyReaders(t *testing.T) {
	if ruleset.Stamp() == "" {
		t.Log("the kernel does not report changes of rules: each look runs iptables")
	}
	dir := fakeIPTables(t, `echo run >>"$0.runs"
if [ "$4" = nat ]; then echo "-N FLANNELD-flannel0"; else echo "-P FORWARD ACCEPT"; fi`)
	f, err := New(testConfig("flannel0"))
	if err != nil {
		t.Fatal(err)
	}
	runs := func() int {
		content, _ := os.ReadFile(filepath.Join(dir, "iptables.runs"))
		return strings.Count(string(content), "\n")
	}
	before := 0
	for i := range 3 {
		wrong, err := f.Check(t.Context())
		if err != nil || len(wrong) != 5 { // the rules and the jump of two tables, and a chain too many
			t.Fatalf("found %q, %v", wrong, err)
		}
		if n := runs(); i == 0 && n != 3 {
			t.Errorf("a look at three tables took %d runs of iptables", n)
		} else if i > 0 && ruleset.Stamp() != "" && n != before {
			t.Errorf("look %d: %d runs of iptables", i, n-before)
		}
		before = runs()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Ensure(ctx); err == nil {
		t.Error("no error after the end")
	}
	if _, err := f.Check(t.Context()); err != nil || ruleset.Stamp() != "" && runs() == before {
		t.Errorf("no look after an Ensure: %v", err)
	}
	f.mu.Lock()
	if wrong, err := f.Check(t.Context()); !errors.Is(err, host.ErrPending) || len(wrong) > 0 {
		t.Errorf("while Ensure is at work: %q, %v", wrong, err)
	}
}
