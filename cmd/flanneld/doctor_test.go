// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flanneld/internal/control"
)

// The table has one summary, a line for each check, and fits the width. The
// exit status is that of the summary.
func TestDoctorShowsEachCheck(t *testing.T) {
	none := filepath.Join(t.TempDir(), "settings")
	for name, dir := range map[string]string{"with a daemon": serve(t, &fake{}), "without one": t.TempDir()} {
		args := []string{"doctor", "--run-dir", dir, "--state-dir", t.TempDir(), "--settings", none}
		r := flanneldOn(t, true, nil, args...)
		if r.status != statusFailed || r.err != "" || !strings.HasPrefix(r.out, red) || !strings.Contains(strings.SplitN(r.out, "\n", 2)[0], " broken, ") {
			t.Errorf("%s: status %d, %s\n%s", name, r.status, r.err, r.out)
		}
		plainly := strings.NewReplacer(red, "", yellow, "", reset, "").Replace(r.out)
		for line := range strings.Lines(plainly) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > doctorWidth && len(strings.Fields(line)) > 2 {
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
		}
		if r := flanneld(t, nil, args...); strings.Contains(r.out, "\x1b") {
			t.Errorf("%s: colors without a terminal", name)
		}
		r = flanneld(t, nil, append(args, "-o", "json")...)
		var d control.Doctor
		if err := json.Unmarshal([]byte(r.out), &d); err != nil || d.OK || r.status != statusFailed || d.Running != (name == "with a daemon") {
			t.Errorf("%s: status %d, %v: %+v", name, r.status, err, d)
		}
		for _, c := range d.Checks {
			if !strings.Contains(plainly, "  "+c.Verdict+" ") || !strings.Contains(plainly, " "+c.Name+" ") {
				t.Errorf("%s: no line for %+v", name, c)
			}
		}
	}
}

// A bundle is named on standard error, so that the output stays one document.
func TestDoctorWritesABundle(t *testing.T) {
	dir := t.TempDir()
	r := flanneld(t, nil, "doctor", "--run-dir", dir, "--state-dir", dir, "--settings", filepath.Join(dir, "none"), "-o", "json", "--bundle="+dir)
	found, err := filepath.Glob(filepath.Join(dir, "flanneld-*.tar.gz"))
	if err != nil || len(found) != 1 || r.err != "written: "+found[0]+"\n" || !json.Valid([]byte(r.out)) || r.status != statusFailed {
		t.Errorf("%v, %v: status %d, %s", found, err, r.status, r.err)
	}
	r = flanneld(t, nil, "doctor", "--run-dir", dir, "--state-dir", dir, "--settings", filepath.Join(dir, "none"), "--bundle="+filepath.Join(dir, "none"))
	if r.status != statusFailed || !strings.Contains(r.err, "--bundle=DIR") {
		t.Errorf("status %d, %s", r.status, r.err)
	}
}

// The unit's settings count, after flags and the environment.
func TestDoctorReadsTheSettingsOfTheUnit(t *testing.T) {
	file := filepath.Join(t.TempDir(), "settings")
	if err := os.WriteFile(file, []byte("FLANNELD_PORT=9000\nFLANNELD_DEVICE=one\nFLANNELD_RUN_DIR=/run/one\nFLANNELD_TYPO=1\nOTHER=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := env{lookup: func(name string) (string, bool) {
		value, ok := map[string]string{"FLANNELD_DEVICE": "two"}[name]
		return value, ok
	}}
	at := target{values: map[string][]string{"run-dir": {"/run/two"}}}
	o, vars, err := examination(e, at, file, "")
	if err != nil || o.SettingsErr != nil || o.SettingsRead != nil || vars["FLANNELD_PORT"] != "9000" {
		t.Fatal(err, o.SettingsErr, o.SettingsRead, vars)
	}
	if c := o.Config; c.Port != 9000 || c.Device != "two" || c.RunDir != "/run/two" {
		t.Errorf("%+v", c)
	}
	if len(o.Unknown) != 1 || o.Unknown[0] != "FLANNELD_TYPO" {
		t.Errorf("unknown %v", o.Unknown)
	}
	if err := os.WriteFile(file, []byte("FLANNELD_PORT=x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o, _, err = examination(e, at, file, ""); err != nil || o.SettingsErr == nil || o.Config.RunDir != "/run/two" || o.Config.Device != "two" {
		t.Errorf("%v, %+v", err, o.Config)
	}
	if r := flanneld(t, nil, "doctor", "--docker-socket", "x:y"); r.status != statusUsage {
		t.Errorf("status %d: %s", r.status, r.err)
	}
}

func TestTextsAreWrappedAtBlanks(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "a b": "a b", "aaa bbb ccc": "aaa bbb|ccc", "aaaaaaaaaa b": "aaaaaaaaaa|b", "ä ä ä ä ä": "ä ä ä ä|ä",
	} {
		if got := strings.Join(wrap(text, 7), "|"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
