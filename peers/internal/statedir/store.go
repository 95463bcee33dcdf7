// SPDX-License-Identifier: Apache-2.0

package statedir

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	diskRetry  = time.Second // after a failed write
	tableEvery = time.Second // between two writes of the node table
)

// Store writes the state directory from a goroutine of its own, so that a slow
// disk does not hold up the core. The lease file goes first, and at once;
// writes of the node table are at least a second apart. Where several contents
// of the lease file are waiting, only the newest is written: it includes the
// others. The methods may be called from any goroutine.
type Store struct {
	dir   *Dir
	log   *slog.Logger
	wake  chan struct{} // one token: there is something to write
	quit  chan struct{}
	done  sync.WaitGroup
	saved chan struct{} // one token: newest has risen

	newest  atomic.Uint64          // token of the last lease file known to be durable
	problem atomic.Pointer[string] // why nothing can be written; nil: it can

	writeAt time.Time // when the table may be written; the goroutine's

	mu    sync.Mutex
	lease *save  // waiting
	table []byte // waiting
}

// save is a content of the lease file.
type save struct {
	token   uint64
	content []byte
}

// NewStore starts the goroutine; [Store.Close] ends it. d stays the caller's,
// and must be closed after the Store.
func NewStore(d *Dir, log *slog.Logger) *Store {
	s := &Store{
		dir: d, log: log,
		wake: make(chan struct{}, 1), quit: make(chan struct{}), saved: make(chan struct{}, 1),
	}
	s.done.Go(s.run)
	return s
}

// SaveLease writes a lease file as soon as possible. token identifies it, see
// [Store.Newest], and must rise from call to call. The Store keeps lease.
func (s *Store) SaveLease(token uint64, lease []byte) {
	s.mu.Lock()
	s.lease = &save{token, lease}
	s.mu.Unlock()
	notify(s.wake)
}

// SaveTable writes a node table within a second or so. The Store keeps table.
func (s *Store) SaveTable(table []byte) {
	s.mu.Lock()
	s.table = table
	s.mu.Unlock()
	notify(s.wake)
}

// Newest returns the token of the last lease file that is durable, 0 for none.
func (s *Store) Newest() uint64 { return s.newest.Load() }

// Saved has one token when [Store.Newest] has risen.
func (s *Store) Saved() <-chan struct{} { return s.saved }

// Problem says in one line why nothing can be written; "" while it can.
func (s *Store) Problem() string {
	if p := s.problem.Load(); p != nil {
		return *p
	}
	return ""
}

// Close writes what is waiting, once, and returns when that is done.
func (s *Store) Close() {
	close(s.quit)
	s.done.Wait()
}

func (s *Store) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.wake:
		case <-timer.C:
		case <-s.quit:
			s.writeLease()
			s.writeTable()
			return
		}
		wait := s.writeLease()
		if wait == 0 {
			wait = s.writeTableWhenDue(time.Now())
		}
		if wait > 0 {
			timer.Reset(wait)
		}
	}
}

// writeLease writes the newest lease file, if one is waiting. It returns after
// which time to try again, zero for never.
func (s *Store) writeLease() time.Duration {
	s.mu.Lock()
	v := s.lease
	s.mu.Unlock()
	if v == nil {
		return 0
	}
	if err := s.dir.Write(LeaseFile, v.content); err != nil {
		s.failed(err)
		return diskRetry
	}
	s.worked()
	s.mu.Lock()
	if s.lease == v {
		s.lease = nil
	}
	s.mu.Unlock()
	s.newest.Store(v.token)
	notify(s.saved)
	return 0
}

func (s *Store) writeTableWhenDue(now time.Time) time.Duration {
	s.mu.Lock()
	waiting := s.table != nil
	s.mu.Unlock()
	if !waiting {
		return 0
	}
	if wait := s.writeAt.Sub(now); wait > 0 {
		return wait
	}
	s.writeAt = now.Add(tableEvery)
	return s.writeTable()
}

func (s *Store) writeTable() time.Duration {
	s.mu.Lock()
	table := s.table
	s.table = nil
	s.mu.Unlock()
	if table == nil {
		return 0
	}
	if err := s.dir.Write(TableFile, table); err != nil {
		s.failed(err)
		s.mu.Lock()
		if s.table == nil {
			s.table = table
		}
		s.mu.Unlock()
		return diskRetry
	}
	s.worked()
	return 0
}

// failed logs once that the directory cannot be written to.
func (s *Store) failed(err error) {
	if s.problem.Load() != nil {
		return
	}
	text := err.Error()
	s.problem.Store(&text)
	s.log.Error("state cannot be written: until it can, this node promises and confirms nothing", "err", text)
}

func (s *Store) worked() {
	if s.problem.Swap(nil) != nil {
		s.log.Info("state can be written again", "dir", s.dir.path)
	}
}

// notify leaves a token in a channel that holds one.
func notify(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
