// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"io/fs"
	"math"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// closedBit marks a descriptor as closed; the bits below it count its users.
const closedBit = math.MinInt64

// Descriptor is a non-blocking file descriptor together with a way to wake its
// waiters. It counts its users. So its number is not released, and perhaps used
// for another file, during a system call.
//
// The users make the system calls, and make them raw. With O_NONBLOCK they
// return soon, and a busy loop never enters the Go scheduler. All methods may
// be called from any goroutine.
type Descriptor struct {
	fd   int
	wake int          // eventfd, readable once closed
	refs atomic.Int64 // users, one for the owner; closedBit
	gone chan struct{}
	err  error // of closing fd; read it after gone is closed
}

// NewDescriptor takes over fd, which must be non-blocking, unless it fails.
func NewDescriptor(fd int) (*Descriptor, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	d := &Descriptor{fd: fd, wake: wake, gone: make(chan struct{})}
	d.refs.Store(1)
	return d, nil
}

// Disown undoes NewDescriptor before the first use of the Descriptor: its owner
// has the file descriptor again.
func (d *Descriptor) Disown() { unix.Close(d.wake) }

// FD is the descriptor's number. Use it between Acquire and Release only.
func (d *Descriptor) FD() int { return d.fd }

// Acquire keeps the descriptor open until Release. It is false once closed.
func (d *Descriptor) Acquire() bool {
	for {
		refs := d.refs.Load()
		if refs < 0 {
			return false
		}
		if d.refs.CompareAndSwap(refs, refs+1) {
			return true
		}
	}
}

// Release ends what Acquire began; the last one out closes the descriptor.
func (d *Descriptor) Release() {
	if d.refs.Add(-1) != closedBit {
		return
	}
	d.err = unix.Close(d.fd)
	unix.Close(d.wake)
	close(d.gone)
}

// closed reports whether Close was called.
func (d *Descriptor) closed() bool { return d.refs.Load() < 0 }

// Close wakes blocked waiters, and returns once every user has left and the
// descriptor is closed. A second call returns fs.ErrClosed, at once.
func (d *Descriptor) Close() error {
	if d.refs.Or(closedBit) < 0 {
		return fs.ErrClosed
	}
	one := [8]byte{7: 1} // any number but zero wakes, in either byte order
	unix.Write(d.wake, one[:])
	d.Release()
	<-d.gone
	return d.err
}
