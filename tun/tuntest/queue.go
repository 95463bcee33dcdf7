// Package tuntest is a TUN queue without a kernel: what a test feeds into it is
// read, what is written to it is kept.
package tuntest

import (
	"io/fs"
	"slices"
	"sync"

	"flanneld/tun"
)

// Queue behaves like a *tun.Queue. The zero value is not usable; see NewQueue.
// All methods may be called from any goroutine.
type Queue struct {
	sink func(packet []byte) error

	mu      sync.Mutex
	changed sync.Cond // of everything below
	fed     [][]byte
	written [][]byte
	err     error // what Read returns once nothing is fed any more
}

// NewQueue makes a queue that keeps what is written to it.
func NewQueue() *Queue { return NewQueueFunc(nil) }

// NewQueueFunc makes a queue that hands every written packet to sink, which must
// not keep it, and returns sink's error from Write. Nothing is allocated then.
func NewQueueFunc(sink func(packet []byte) error) *Queue {
	q := &Queue{sink: sink}
	q.changed.L = &q.mu
	return q
}

// Feed appends packets for Read to return. They are not copied, and Read does
// not change them.
func (q *Queue) Feed(packets ...[]byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fed = append(q.fed, packets...)
	q.changed.Broadcast()
}

// Fail makes Read return err once everything fed has been read, as when the
// device is deleted.
func (q *Queue) Fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = err
	}
	q.changed.Broadcast()
}

// Read is what tun.Queue.Read is: it waits for the first packet, then takes what
// is there, and cuts what does not fit a slot.
func (q *Queue) Read(b *tun.Batch) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.fed) == 0 {
		if q.err != nil {
			return 0, q.err
		}
		q.changed.Wait()
	}
	n := min(len(q.fed), b.Len())
	for i := range n {
		b.Fill(i, copy(b.Slot(i), q.fed[i]))
	}
	q.fed = q.fed[:copy(q.fed, q.fed[n:])]
	return n, nil
}

// Write keeps a copy of packet, or gives it to the sink.
func (q *Queue) Write(packet []byte) error {
	if q.sink != nil {
		return q.sink(packet)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == fs.ErrClosed {
		return q.err
	}
	q.written = append(q.written, slices.Clone(packet))
	q.changed.Broadcast()
	return nil
}

// Written waits until n packets were written and not yet taken, and takes them.
// It returns what there is when the queue is closed before.
func (q *Queue) Written(n int) [][]byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.written) < n && q.err == nil {
		q.changed.Wait()
	}
	n = min(n, len(q.written))
	taken := slices.Clone(q.written[:n])
	q.written = q.written[n:]
	return taken
}

// Close makes waiting calls return; a second call returns fs.ErrClosed.
func (q *Queue) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == fs.ErrClosed {
		return fs.ErrClosed
	}
	q.err = fs.ErrClosed
	q.fed = nil
	q.changed.Broadcast()
	return nil
}
