// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flanneld/internal/control"
)

// keep runs a log on a directory while use runs.
func keep(t *testing.T, dir string, use func(*Log)) {
	t.Helper()
	l := New(slog.New(slog.DiscardHandler))
	l.Load(dir)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.Run(ctx, dir)
	}()
	use(l)
	cancel()
	<-ended
}

func TestEventsOutliveARestart(t *testing.T) {
	dir := t.TempDir()
	var first, second []control.Event
	keep(t, dir, func(l *Log) {
		l.Add(about("a", "up"))
		l.Add(about("b", "up"))
		first = l.After(0)
	})
	keep(t, dir, func(l *Log) {
		l.Add(about("c", "up"))
		second = l.After(0)
	})
	if len(second) != 3 || second[2].Seq <= first[1].Seq || second[2].ID != second[2].Seq {
		t.Fatalf("got %+v", second)
	}
	for i, e := range first {
		if second[i].Text != e.Text || second[i].ID != e.ID || !second[i].Time.Equal(e.Time) {
			t.Errorf("got %+v, want %+v", second[i], e)
		}
	}
	if got, damaged, err := Read(filepath.Join(dir, FileName)); err != nil || damaged || len(got) != 3 {
		t.Errorf("read %d, damaged %v, %v", len(got), damaged, err)
	}
	if info, err := os.Stat(filepath.Join(dir, FileName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// What comes before the file is read, as during a wait for the underlay, is
// later than what is in it.
func TestWhatCameBeforeTheFileWasReadIsLater(t *testing.T) {
	dir := t.TempDir()
	keep(t, dir, func(l *Log) { l.Add(about("a", "up")) })
	l := New(slog.New(slog.DiscardHandler))
	l.Add(about("b", "up"))
	l.Load(dir)
	got := l.After(0)
	if len(got) != 2 || got[0].Node.ID != "a" || got[1].Node.ID != "b" || got[1].Seq <= got[0].Seq || got[1].ID != got[1].Seq {
		t.Errorf("got %+v", got)
	}
}

// A file that was cut at any byte loses the last line at most.
func TestATornFileLosesItsLastLineOnly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, FileName)
	keep(t, dir, func(l *Log) {
		for _, node := range []string{"a", "b", "c"} {
			l.Add(about(node, "up"))
		}
	})
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		got, damaged, err := Read(path)
		lines := bytes.Count(whole[:n], []byte("\n"))
		if err != nil || len(got) != lines || damaged != (n > 0 && whole[n-1] != '\n') {
			t.Fatalf("%d bytes: %d events, want %d, damaged %v, %v", n, len(got), lines, damaged, err)
		}
	}
	if err := os.WriteFile(path, whole[:len(whole)-5], 0o600); err != nil {
		t.Fatal(err)
	}
	keep(t, dir, func(l *Log) { l.Add(about("d", "up")) })
	got, damaged, _ := Read(path)
	if names := names(got); damaged || !slices.Equal(names, []string{"a", "b", "d"}) {
		t.Errorf("after the next start: %v, damaged %v", names, damaged)
	}
}

func names(events []control.Event) (all []string) {
	for _, e := range events {
		all = append(all, e.Node.ID)
	}
	return all
}

// The file is bounded, whatever happens.
func TestTheFileIsWrittenAnewWhenItHasGrown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		most := 0
		keep(t, dir, func(l *Log) {
			for i := range maxLines/crowdBurst + 50 {
				for j := range crowdBurst {
					l.Add(about(fmt.Sprintf("node%d-%d", i, j), "up"))
				}
				time.Sleep(crowdBurst * crowdEvery)
				content, err := os.ReadFile(filepath.Join(dir, FileName))
				if err != nil {
					t.Fatal(err)
				}
				most = max(most, bytes.Count(content, []byte("\n")))
			}
		})
		if most > maxLines || most < maxLines-2*crowdBurst {
			t.Errorf("up to %d lines, want nearly %d", most, maxLines)
		}
		if got, damaged, err := Read(filepath.Join(dir, FileName)); len(got) != Limit || damaged || err != nil {
			t.Errorf("%d events, damaged %v, %v", len(got), damaged, err)
		}
	})
}

// While the disk takes nothing, events go on. Later they are all there.
func TestADiskThatFailsLosesNothingThatIsInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "gone")
		var said bytes.Buffer
		l := New(slog.New(slog.NewTextHandler(&said, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			l.Run(ctx, dir)
		}()
		l.Add(about("a", "up"))
		time.Sleep(5 * retryEvery)
		l.Add(about("b", "up"))
		time.Sleep(5 * retryEvery)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * retryEvery)
		got, _, err := Read(filepath.Join(dir, FileName))
		if err != nil || !slices.Equal(names(got), []string{"a", "b"}) {
			t.Errorf("got %+v, %v", got, err)
		}
		cancel()
		<-ended
		if n := strings.Count(said.String(), "not kept on disk"); n != 1 {
			t.Errorf("said %d times:\n%s", n, &said)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"id":1,"seq":1,"time":"2026-11-29T12:00:00Z","first":"2026-11-29T12:00:00Z","count":1,"kind":"member","what":"up"}` + "\n"))
	f.Add([]byte(`{"id":2,"seq":1}` + "\n" + `{"id":1,"seq":18446744073709551615,"kind":"x","count":1}` + "\n{"))
	f.Add([]byte("\n\n\x00"))
	f.Add([]byte(`{"id":1,"seq":5,"time":"2026-11-29T12:00:00Z","count":3,"kind":"lease","prefix":"10.0.0.0/33"}` + "\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		events, _ := decode(content)
		if len(events) > Limit {
			t.Fatalf("%d events", len(events))
		}
		for i, e := range events {
			if i > 0 && e.Seq <= events[i-1].Seq || e.ID == 0 || e.Count < 1 || len(e.Text) > 500 || strings.ContainsAny(e.Text+e.Why+e.Node.Name, "\n\x1b") {
				t.Fatalf("event %d: %+v", i, e)
			}
		}
		again, err := encode(events)
		if err != nil {
			t.Fatal(err)
		}
		if got, damaged := decode(again); damaged || len(got) != len(events) {
			t.Fatalf("%d events were written, %d read, damaged %v", len(events), len(got), damaged)
		}
	})
}
