// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stoppedHost is a run directory without a daemon, and the state directory that
// version 0.1 left on a host.
func stoppedHost(t *testing.T) (runDir, stateDir string) {
	t.Helper()
	runDir, stateDir = t.TempDir(), t.TempDir()
	for _, name := range []string{"identity", "lease", "nodes"} {
		b, err := os.ReadFile(filepath.Join("..", "..", "peers", "testdata", "state-0.1", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(stateDir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return runDir, stateDir
}

func TestResetSaysWhatItGivesUpAndKeeps(t *testing.T) {
	for _, format := range []string{"table", "json"} {
		run, state := stoppedHost(t)
		args := []string{"reset", "--run-dir", run, "--state-dir", state, "-o", format}
		r := flanneld(t, nil, args...)
		if r.status != 0 || r.err != "" {
			t.Errorf("status %d, %s", r.status, r.err)
		}
		golden(t, "reset."+format, strings.ReplaceAll(r.out, state, "/var/lib/flanneld"))
		if format == "json" && !json.Valid([]byte(r.out)) {
			t.Errorf("no JSON: %s", r.out)
		}
		if again := flanneld(t, nil, args...); again.status != 0 || !strings.Contains(again.out, "10.244.238.0/24") {
			t.Errorf("a second time: %+v", again)
		}
	}
}

func TestResetOfADirectoryFromTheEnvironment(t *testing.T) {
	run, state := stoppedHost(t)
	r := flanneld(t, map[string]string{"FLANNELD_RUN_DIR": run, "FLANNELD_STATE_DIR": state}, "reset")
	if r.status != 0 || !strings.Contains(r.out, "10.244.238.0/24") {
		t.Errorf("got %+v", r)
	}
	if _, err := os.Stat(filepath.Join(state, "nodes")); err == nil {
		t.Error("the node table is still there")
	}
}

func TestResetIsRefusedWhileADaemonRuns(t *testing.T) {
	_, state := stoppedHost(t)
	r := flanneld(t, nil, "reset", "--run-dir", serve(t, &fake{}), "--state-dir", state)
	if r.status != 1 || !strings.Contains(r.err, "stop it first") {
		t.Errorf("got %+v", r)
	}
	if _, err := os.Stat(filepath.Join(state, "nodes")); err != nil {
		t.Errorf("the node table is gone: %v", err)
	}
}

func TestResetOfNothingSaysSo(t *testing.T) {
	state := filepath.Join(t.TempDir(), "none")
	r := flanneld(t, nil, "reset", "--run-dir", t.TempDir(), "--state-dir", state)
	if want := "nothing to reset:  there is no state in " + state + "\n"; r != (result{0, want, ""}) {
		t.Errorf("got %+v", r)
	}
}
