// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"errors"
	"strings"
	"testing"

	"flanneld/internal/host"
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
