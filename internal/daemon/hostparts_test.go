// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/host"
	"flanneld/internal/host/guard"
)

// Status names the states of the rules as the guard does.
func TestStatesOfTheRulesAreThoseOfStatus(t *testing.T) {
	for state, want := range map[guard.RuleState]string{
		guard.RulesInPlace: control.FirewallOK, guard.RulesLeft: control.FirewallNone,
		guard.RulesFailed: control.FirewallFailed, guard.RulesOverruled: control.FirewallOverruled,
	} {
		if string(state) != want {
			t.Errorf("%q is %q in status", state, want)
		}
	}
}

// A node that leaves removes what cleanup removes: one list names it for both.
func TestLeaveAndCleanupRemoveTheSameFiles(t *testing.T) {
	c := config.Config{RunDir: t.TempDir(), Device: "flannel-none"}
	s, err := control.Listen(c.SocketPath(), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown(t.Context())
	for _, server := range []*control.Server{s, nil} {
		for _, path := range []string{c.SubnetPath(), c.DockerPath(), c.SocketPath()} {
			if err := os.WriteFile(path, nil, 0o600); err != nil && path != c.SocketPath() {
				t.Fatal(err)
			}
		}
		parts, err := newParts(c, server)
		if err != nil {
			t.Fatal(err)
		}
		var files []string
		for _, p := range parts.List() {
			if l, ok := p.(host.Leftover); ok {
				files = append(files, l.Present()...)
			}
		}
		if want := []string{c.SocketPath(), c.SubnetPath(), c.DockerPath()}; !slices.Equal(files, want) {
			t.Errorf("server %v: files %q", server != nil, files)
		}
		for _, p := range []host.Part{parts.Socket, parts.Subnet, parts.Docker} {
			for range 2 {
				if err := p.Remove(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
		if left, _ := filepath.Glob(filepath.Join(c.RunDir, "*")); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
}

func TestControlSocketComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flanneld.sock")
	s, err := control.Listen(path, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown(t.Context())
	p := socketPart{path, s}
	expect := func(when string, changed int) {
		t.Helper()
		if wrong, err := p.Check(t.Context()); err != nil || len(wrong) != changed {
			t.Errorf("%s: wrong %q, %v", when, wrong, err)
		}
		if changes, err := p.Ensure(t.Context()); err != nil || len(changes) != changed {
			t.Errorf("%s: changes %q, %v", when, changes, err)
		}
	}
	expect("fresh", 0)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	expect("removed", 1)
	expect("again", 0)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = p.Ensure(t.Context())
	if all := host.Problems(err); len(all) != 1 || !strings.Contains(all[0].Text, "no socket") || all[0].Advice == "" {
		t.Errorf("a file in its place: %+v", all)
	}
	for _, method := range []func() ([]string, error){
		func() ([]string, error) { return socketPart{path: path}.Ensure(t.Context()) },
		func() ([]string, error) { return socketPart{path: path}.Check(t.Context()) },
	} {
		if said, err := method(); said != nil || err != nil {
			t.Errorf("of a stopped daemon: %q, %v", said, err)
		}
	}
}
