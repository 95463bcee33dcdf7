// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"io/fs"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Waiter waits until one of some descriptors is ready. It belongs to one
// goroutine.
type Waiter struct {
	descriptors []*Descriptor
	fds         []unix.PollFd // two for each: itself and its eventfd
	time        unix.Timespec // of a wait; the kernel counts it down
}

// NewWaiter waits until there is something to read.
func NewWaiter(ds ...*Descriptor) *Waiter {
	w := &Waiter{descriptors: ds}
	for _, d := range ds {
		w.fds = append(w.fds,
			unix.PollFd{Fd: int32(d.fd), Events: unix.POLLIN},
			unix.PollFd{Fd: int32(d.wake), Events: unix.POLLIN})
	}
	return w
}

// Wait blocks until one of the descriptors is ready or has an error pending,
// for as long as it takes. Once a descriptor is closed it returns fs.ErrClosed.
//
// It looks that many times, and lets other threads run before each look. Then
// it sleeps for a short time without the Go scheduler's knowledge. Then it
// sleeps in the ordinary way, so that a stop-the-world need not wait for it.
func (w *Waiter) Wait(looks int, short time.Duration) error {
	if err := w.acquire(); err != nil {
		return err
	}
	defer w.release()
	for range looks {
		unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		if w.ready(0) {
			return w.state()
		}
	}
	if w.ready(short) {
		return w.state()
	}
	return w.sleep()
}

// Rest is Wait for a thread that keeps others off its core, so that repeated
// looks would not help them. It sleeps at once: several times without the Go
// scheduler's knowledge, for the given time each, and then in the ordinary way.
func (w *Waiter) Rest(each time.Duration, times int) error {
	if err := w.acquire(); err != nil {
		return err
	}
	defer w.release()
	for range times {
		if w.ready(each) {
			return w.state()
		}
	}
	return w.sleep()
}

// ready reports whether something happens within limit.
func (w *Waiter) ready(limit time.Duration) bool {
	w.time = unix.NsecToTimespec(int64(limit))
	n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&w.fds[0])), uintptr(len(w.fds)),
		uintptr(unsafe.Pointer(&w.time)), 0, 0, 0)
	return errno == 0 && n > 0
}

// sleep waits until something happens.
func (w *Waiter) sleep() error {
	for {
		_, err := unix.Ppoll(w.fds, nil, nil)
		if closed := w.state(); closed != nil {
			return closed
		}
		if err != unix.EINTR { // the Go runtime preempts threads by signals
			return err
		}
	}
}

// Sleep returns after d, or sooner if a signal comes. The Go scheduler does not
// know about it: d should be well below a millisecond.
func (w *Waiter) Sleep(d time.Duration) {
	w.time = unix.NsecToTimespec(int64(d))
	unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&w.time)), 0, 0)
}

// state is fs.ErrClosed once one of the descriptors is closed.
func (w *Waiter) state() error {
	for _, d := range w.descriptors {
		if d.closed() {
			return fs.ErrClosed
		}
	}
	return nil
}

// acquire keeps all descriptors open until release.
func (w *Waiter) acquire() error {
	for i, d := range w.descriptors {
		if !d.Acquire() {
			for _, d := range w.descriptors[:i] {
				d.Release()
			}
			return fs.ErrClosed
		}
	}
	return nil
}

func (w *Waiter) release() {
	for _, d := range w.descriptors {
		d.Release()
	}
}
