// SPDX-License-Identifier: Apache-2.0

package statedir

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// disk fails while it is told to, and remembers what was written.
type disk struct {
	full atomic.Bool

	mu      sync.Mutex
	written map[string][]string // contents, by file
}

func (k *disk) replace(d *Dir) func(string, []byte) error {
	return func(path string, b []byte) error {
		if k.full.Load() {
			return syscall.ENOSPC
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		for _, f := range []File{LeaseFile, TableFile} {
			if content, err := f.decode(b); err == nil && path == d.file(f.name) {
				k.written[f.name] = append(k.written[f.name], string(content))
			}
		}
		return nil
	}
}

func (k *disk) contents(f File) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]string(nil), k.written[f.name]...)
}

func newStore(t *testing.T) (*Store, *disk, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	d, err := Open(t.TempDir(), logger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	k := &disk{written: map[string][]string{}}
	d.Replace = k.replace(d)
	return NewStore(d, logger), k, &log
}

func TestLeaseFileIsWrittenAtOnceAndTheTableLater(t *testing.T) {
	s, k, _ := newStore(t)
	s.SaveLease(7, []byte("a lease"))
	select {
	case <-s.Saved():
	case <-time.After(10 * time.Second):
		t.Fatal("never saved")
	}
	if s.Newest() != 7 || s.Problem() != "" {
		t.Errorf("token %d, problem %q", s.Newest(), s.Problem())
	}
	for _, table := range []string{"one", "two", "three"} {
		s.SaveTable([]byte(table))
	}
	s.Close()
	if got := k.contents(LeaseFile); len(got) != 1 || got[0] != "a lease" {
		t.Errorf("lease file: %q", got)
	}
	if got := k.contents(TableFile); len(got) == 0 || len(got) > 2 || got[len(got)-1] != "three" {
		t.Errorf("node table: %q", got)
	}
}

func TestFailedWritesAreLoggedOnceAndRepeated(t *testing.T) {
	s, k, log := newStore(t)
	k.full.Store(true)
	s.SaveLease(1, []byte("first"))
	for late := time.Now().Add(10 * time.Second); s.Problem() == ""; time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("no problem on a full disk")
		}
	}
	if p := s.Problem(); !strings.Contains(p, "it is full; make room") || strings.Contains(p, "\n") {
		t.Errorf("problem %q", p)
	}
	s.SaveLease(2, []byte("second"))
	if s.Newest() != 0 {
		t.Errorf("token %d on a full disk", s.Newest())
	}
	k.full.Store(false)
	s.SaveLease(3, []byte("third"))
	for late := time.Now().Add(10 * time.Second); s.Newest() < 3; {
		select {
		case <-s.Saved():
		case <-time.After(time.Until(late)):
			t.Fatal("never saved")
		}
	}
	s.Close()
	if got := k.contents(LeaseFile); len(got) == 0 || got[len(got)-1] != "third" || s.Problem() != "" {
		t.Errorf("written %q, problem %q", got, s.Problem())
	}
	if text := log.String(); strings.Count(text, "state cannot be written") != 1 || strings.Count(text, "state can be written again") != 1 {
		t.Errorf("log:\n%s", text)
	}
}

func TestADirectoryIsForOneProcess(t *testing.T) {
	path := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	d, err := Open(path, log)
	if err != nil {
		t.Fatal(err)
	}
	var e *Error
	if _, err := Open(path, log); !errors.As(err, &e) || e.Kind != Locked || e.File != path {
		t.Errorf("opened twice: %v", err)
	}
	if HasState(path) {
		t.Error("an empty directory has state")
	}
	if err := errors.Join(d.Close(), d.Close()); err != nil {
		t.Error(err)
	}
	again, err := Open(path, log)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Load(false, nil); err != nil || !HasState(path) {
		t.Errorf("no identity was made: %v", err)
	}
	_ = again.Close()
}
