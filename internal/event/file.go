// SPDX-License-Identifier: Apache-2.0

package event

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"flanneld/internal/control"
)

// FileName is the name of the file in the state directory. It stays there over
// restarts and reboots: what happened before a host went down is what is asked
// for afterwards.
const FileName = "events"

const (
	// flushEvery is how often entries are appended.
	flushEvery = time.Second
	// syncEvery is how often the file is synced where it has grown. A host
	// that loses its power loses the events of that time.
	syncEvery = 10 * time.Second
	// retryEvery is how often a file that could not be written is tried again.
	retryEvery = time.Minute
	// maxLines is how many lines the file gets before it is written anew.
	maxLines = 4 * Limit
)

// file is where a Log is kept. It belongs to the goroutine of Run.
type file struct {
	path   string   // "": not kept
	out    *os.File // nil: to be written anew
	lines  int
	synced time.Time
	dirty  bool // written since synced
	tried  time.Time
	failed bool // the last try to write it
}

// Read reads the entries of a file. A missing file has none. damaged reports
// that lines were passed over.
func Read(path string) (events []control.Event, damaged bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, false, fmt.Errorf("read %s: %w", path, err)
	}
	events, damaged = decode(content)
	return events, damaged, nil
}

// Load puts the entries of the file in dir before those that were added so far.
// It writes nothing. A file that cannot be read is said to the log, and is
// replaced later.
func (l *Log) Load(dir string) {
	events, damaged, err := Read(filepath.Join(dir, FileName))
	if err != nil {
		l.log.Warn("earlier events are not read", "error", err)
	}
	if damaged {
		l.log.Info("some earlier events are lost: the file was cut short or damaged", "file", filepath.Join(dir, FileName), "kept", len(events))
	}
	if len(events) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fresh := l.entries
	l.entries, l.unsaved = nil, nil
	for _, e := range events {
		n := &entry{Event: e, key: keyOf(e), pause: pauseMin}
		l.entries = append(l.entries, n)
		l.byKey[n.key] = n
	}
	l.seq = events[len(events)-1].Seq
	for _, n := range fresh {
		l.byKey[n.key] = n
		l.entries = append(l.entries, n)
		n.ID = 0 // it gets another with its Seq
		l.show(n)
	}
	for len(l.entries) > Limit {
		l.evict()
	}
}

// Run keeps the entries in the file in dir until ctx ends, and shows repeats.
// dir "": it only shows them. The caller has locked the directory.
func (l *Log) Run(ctx context.Context, dir string) {
	if dir != "" {
		l.file.path = filepath.Join(dir, FileName)
	}
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.showHeld(false)
			l.save(false)
		case <-ctx.Done():
			l.showHeld(true)
			l.save(true)
			return
		}
	}
}

// save appends what is new. last: the file is synced and closed.
func (l *Log) save(last bool) {
	f := &l.file
	l.mu.Lock()
	unsaved := l.unsaved
	l.unsaved = nil
	l.mu.Unlock()
	if f.path == "" {
		return
	}
	now := time.Now()
	var err error
	switch {
	case f.out == nil && (len(unsaved) == 0 && !f.failed || now.Sub(f.tried) < retryEvery && !last):
	case f.out == nil || len(unsaved) == Limit || f.lines+len(unsaved) > maxLines:
		err = l.rewrite()
	case len(unsaved) > 0:
		err = f.append(unsaved)
	}
	if err == nil && f.out != nil && f.dirty && (last || now.Sub(f.synced) >= syncEvery) {
		err = f.sync(now)
	}
	l.settle(now, err, last)
}

// settle takes what became of a save.
func (l *Log) settle(now time.Time, err error, last bool) {
	f := &l.file
	if err != nil {
		if !f.failed {
			l.log.Warn("events are not kept on disk for now", "file", f.path, "error", err)
		}
		f.failed, f.tried = true, now
	} else if f.out != nil {
		f.failed = false
	}
	if f.out != nil && (err != nil || last) {
		_ = f.out.Close()
		f.out = nil
	}
}

func (f *file) append(events []control.Event) error {
	content, err := encode(events)
	if err != nil {
		return err
	}
	_, err = f.out.Write(content)
	f.lines += len(events)
	f.dirty = true
	return err
}

func (f *file) sync(now time.Time) error {
	f.synced, f.dirty = now, false
	return f.out.Sync()
}

// rewrite replaces the file by one with the present entries, and opens that.
func (l *Log) rewrite() error {
	f := &l.file
	if f.out != nil {
		_ = f.out.Close()
		f.out = nil
	}
	events := l.After(0)
	content, err := encode(events)
	if err != nil {
		return err
	}
	err = renameio.WriteFile(f.path, content, 0o600, renameio.WithTempDir(filepath.Dir(f.path)), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return err
	}
	f.lines, f.dirty = len(events), false
	f.out, err = os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND, 0)
	return err
}
