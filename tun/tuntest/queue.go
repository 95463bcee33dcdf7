// SPDX-License-Identifier: Apache-2.0

// Package tuntest is a TUN queue without a kernel. A test feeds it with packets
// to read, and it keeps the packets that are written.
package tuntest

import (
	"errors"
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
	notify  func()
	fed     []tun.Packet
	written [][]byte
	err     error // what Read returns once nothing is fed any more

	offloads tun.Offloads

	// Scratch of WriteRun, which one goroutine at a time may call:
	whole  []byte
	memory [65535]byte
}

// NewQueue makes a queue that keeps what is written to it.
func NewQueue() *Queue { return NewQueueFunc(nil) }

// NewQueueFunc makes a queue that hands every written packet to sink, which
// must not keep it, and returns sink's error from Write. It allocates nothing.
func NewQueueFunc(sink func(packet []byte) error) *Queue {
	q := &Queue{sink: sink}
	q.changed.L = &q.mu
	return q
}

// Notify makes the queue call f when there may be something to Read. f must not
// call back. It replaces the wait for a descriptor.
func (q *Queue) Notify(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.notify = f
}

// wake wakes waiters for written packets, and readers.
func (q *Queue) wake() {
	q.changed.Broadcast()
	if q.notify != nil {
		q.notify()
	}
}

// Feed appends packets for Read to return. They are not copied, and Read does
// not change them.
func (q *Queue) Feed(packets ...[]byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range packets {
		q.fed = append(q.fed, tun.Packet{Data: p})
	}
	q.wake()
}

// FeedSuperpacket appends a superpacket for Read to return.
func (q *Queue) FeedSuperpacket(packet []byte, segmentSize int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fed = append(q.fed, tun.Packet{Data: packet, SegmentSize: segmentSize})
	q.wake()
}

// SetOffloads sets what Offloads returns.
func (q *Queue) SetOffloads(o tun.Offloads) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.offloads = o
}

// Offloads returns what SetOffloads set, nothing at first.
func (q *Queue) Offloads() tun.Offloads {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.offloads
}

// Fail makes Read return err once everything fed has been read, as when the
// device is deleted.
func (q *Queue) Fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = err
	}
	q.wake()
}

// Read behaves as tun.Queue.Read: it takes what is there, and cuts what does
// not fit a slot.
func (q *Queue) Read(b *tun.Batch) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.fed) == 0 {
		return 0, q.err
	}
	b.Reset()
	n := 0
	for ; n < len(q.fed); n++ {
		slot := b.Slot()
		if slot == nil {
			break
		}
		b.Add(copy(slot, q.fed[n].Data), q.fed[n].SegmentSize)
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

// WriteRun writes the packets of a run one by one, as a network stack sees
// them: a superpacket is cut. The error is that of the first packet that
// failed.
func (q *Queue) WriteRun(r *tun.Run) error {
	if r.SegmentSize == 0 {
		return q.Write(r.Buffers[0])
	}
	q.whole = q.whole[:0]
	for _, b := range r.Buffers {
		q.whole = append(q.whole, b...)
	}
	s, ok := tun.NewSegmenter(tun.Packet{Data: q.whole, SegmentSize: r.SegmentSize})
	if !ok || s.Segments() != r.Packets {
		return errNoRun
	}
	var failure error
	for {
		header, payload, ok := s.Next(q.memory[:])
		if !ok {
			return failure
		}
		packet := q.memory[:len(header)+copy(q.memory[len(header):], payload)]
		if err := q.Write(packet); err != nil && failure == nil {
			failure = err
		}
	}
}

var errNoRun = errors.New("the run is no superpacket of as many packets as it says")

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
	q.wake()
	return nil
}
