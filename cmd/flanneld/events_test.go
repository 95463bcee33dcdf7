// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flanneld/internal/control"
	"flanneld/internal/event"
)

func TestEventsAreShownWithTheirReasons(t *testing.T) {
	dir := serve(t, &fake{})
	for _, format := range []string{"table", "json"} {
		r := flanneld(t, nil, "events", "--run-dir", dir, "-o", format)
		golden(t, "events."+format, r.out)
		if r.status != statusOK || r.err != "" {
			t.Errorf("status %d, %s", r.status, r.err)
		}
	}
	for args, want := range map[string]string{
		"--kind repair":                              "firewall restored",
		"--since 2026-11-29T12:30:00Z":               "firewall restored",
		"--kind member,daemon --kind lease":          "flanneld 1.2.3 is started",
		"--kind lease":                               "no events",
		"--kind member --since 2026-11-29T12:30:00Z": "no events",
	} {
		r := flanneld(t, nil, append([]string{"events", "--run-dir", dir}, strings.Fields(args)...)...)
		if r.status != 0 || !strings.Contains(r.out, want) || strings.Contains(r.out, "beta") != strings.Contains(args, "daemon") {
			t.Errorf("%s: %+v", args, r)
		}
	}
	for args, want := range map[string]string{
		"--kind fire":   "flanneld: --kind fire: not one of daemon, member",
		"--since never": "flanneld: --since never: neither a duration such as 15m nor a time such as \"",
		"--since -5m":   "flanneld: --since -5m: neither",
		"beta":          "flanneld: events: \"beta\" is one argument too many",
	} {
		r := flanneld(t, nil, append([]string{"events", "--run-dir", dir}, strings.Fields(args)...)...)
		if r.status != statusUsage || !strings.HasPrefix(r.err, want) {
			t.Errorf("%s: %+v", args, r)
		}
	}
}

// What a daemon has kept can be read when it is gone.
func TestEventsOfAStoppedDaemonAreReadFromItsFile(t *testing.T) {
	state, run := t.TempDir(), t.TempDir()
	args := []string{"events", "--run-dir", run, "--state-dir", state}
	if r := flanneld(t, nil, args...); r.status != statusFailed || !strings.Contains(r.err, "no flanneld answers on ") {
		t.Errorf("without a file: %+v", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l := event.New(slog.New(slog.DiscardHandler))
	l.Add(control.Event{Kind: control.EventDaemon, What: "stopped", Text: "flanneld has failed", Why: "port taken"})
	cancel()
	l.Run(ctx, state)
	r := flanneld(t, nil, args...)
	if r.status != 0 || !strings.Contains(r.out, "flanneld has failed (port taken)") || !strings.Contains(r.err, filepath.Join(state, "events")) {
		t.Errorf("got %+v", r)
	}
	if r := flanneld(t, nil, append(args, "-f")...); r.status != statusFailed {
		t.Errorf("-f without a daemon: %+v", r)
	}
	odd := t.TempDir()
	if err := os.Mkdir(filepath.Join(odd, "events"), 0o700); err != nil {
		t.Fatal(err)
	}
	if r := flanneld(t, nil, "events", "--run-dir", run, "--state-dir", odd); r.status != statusFailed || !strings.Contains(r.err, "cannot be read") {
		t.Errorf("a directory in its place: %+v", r)
	}
}

// -f prints one JSON object a line, until it is stopped.
func TestFollowPrintsOneObjectALine(t *testing.T) {
	dir := serve(t, &fake{})
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	done := make(chan int)
	lines := &lineCounter{to: &out, enough: 3, then: cancel}
	go func() {
		done <- execute(ctx, []string{"events", "-f", "-o", "json", "--run-dir", dir}, env{out: lines, err: &out, lookup: func(string) (string, bool) { return "", false }})
	}()
	if status := <-done; status != 0 {
		t.Errorf("status %d", status)
	}
	decoder := json.NewDecoder(&out)
	for n := range 3 {
		var e control.Event
		if err := decoder.Decode(&e); err != nil || e.Text == "" {
			t.Errorf("object %d: %+v, %v", n, e, err)
		}
	}
}

// lineCounter calls then once it has enough lines.
type lineCounter struct {
	to     *bytes.Buffer
	enough int
	then   func()
}

func (l *lineCounter) Write(p []byte) (int, error) {
	n, err := l.to.Write(p)
	if bytes.Count(l.to.Bytes(), []byte("\n")) >= l.enough {
		l.then()
	}
	return n, err
}
