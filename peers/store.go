package peers

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"flanneld/peers/internal/core"
)

const (
	diskRetry  = time.Second // after a failed write
	tableEvery = time.Second // between two writes of the node table
)

// store writes the state directory from a goroutine of its own, so that a slow disk does not hold up the core. The vault goes
// first, and at once; the table is coalesced. Of several vaults waiting only the newest is written: it holds the others.
type store struct {
	dir   *stateDir
	log   *slog.Logger
	wake  chan struct{} // one token: there is something to write
	quit  chan struct{}
	done  sync.WaitGroup
	saved chan struct{} // one token: newest has risen

	newest  atomic.Uint64          // token of the last vault known to be durable
	problem atomic.Pointer[string] // why nothing can be written; nil: it can

	writeAt time.Time // when the table may be written; the goroutine's

	mu    sync.Mutex
	vault *core.Save // waiting
	table []byte     // waiting
}

// newStore starts the goroutine; close ends it.
func newStore(dir *stateDir, log *slog.Logger) *store {
	s := &store{
		dir: dir, log: log,
		wake: make(chan struct{}, 1), quit: make(chan struct{}), saved: make(chan struct{}, 1),
	}
	s.done.Go(s.run)
	return s
}

// save has a vault written as soon as can be.
func (s *store) save(v *core.Save) {
	s.mu.Lock()
	s.vault = v
	s.mu.Unlock()
	notify(s.wake)
}

// keep has a table written within a second or so.
func (s *store) keep(table []byte) {
	s.mu.Lock()
	s.table = table
	s.mu.Unlock()
	notify(s.wake)
}

// close writes what is waiting, once, and returns when that is done.
func (s *store) close() {
	close(s.quit)
	s.done.Wait()
}

func (s *store) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.wake:
		case <-timer.C:
		case <-s.quit:
			s.writeVault()
			s.writeTable()
			return
		}
		wait := s.writeVault()
		if wait == 0 {
			wait = s.writeTableWhenDue(time.Now())
		}
		if wait > 0 {
			timer.Reset(wait)
		}
	}
}

// writeVault writes the newest vault, if one is waiting, and returns when to try again, zero for never.
func (s *store) writeVault() time.Duration {
	s.mu.Lock()
	v := s.vault
	s.mu.Unlock()
	if v == nil {
		return 0
	}
	if err := s.dir.write(vaultFile, vaultFormat.encode(v.Vault)); err != nil {
		s.failed(err)
		return diskRetry
	}
	s.worked()
	s.mu.Lock()
	if s.vault == v {
		s.vault = nil
	}
	s.mu.Unlock()
	s.newest.Store(v.Token)
	notify(s.saved)
	return 0
}

func (s *store) writeTableWhenDue(now time.Time) time.Duration {
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

func (s *store) writeTable() time.Duration {
	s.mu.Lock()
	table := s.table
	s.table = nil
	s.mu.Unlock()
	if table == nil {
		return 0
	}
	if err := s.dir.write(tableFile, tableFormat.encode(table)); err != nil {
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

// failed says once that the directory cannot be written to.
func (s *store) failed(err error) {
	if s.problem.Load() != nil {
		return
	}
	text := stateFailure(s.dir.path, err).Error()
	s.problem.Store(&text)
	s.log.Error("state cannot be written: until it can, this node promises and confirms nothing", "err", text)
}

func (s *store) worked() {
	if s.problem.Swap(nil) != nil {
		s.log.Info("state can be written again", "dir", s.dir.path)
	}
}
