package encap

import (
	"errors"
	"math"
	"net"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// closedBit marks a handle as closed; the bits below it count its users.
const closedBit = math.MinInt64

// handle is a non-blocking descriptor together with a way to wake who waits on
// it. It counts its users, so that the descriptor's number is not given back,
// and perhaps used for another file, under a system call in flight. (Package tun
// has a twin of it: the two edges share no code, so that neither depends on the
// other's needs.)
//
// The system calls themselves are raw: with O_NONBLOCK they come back soon, and
// a loop that is busy never enters the Go scheduler. Only wait blocks: for a
// moment raw, then through the ordinary system call, so that a stop-the-world
// need not wait for it.
type handle struct {
	fd   int
	wake int          // eventfd, readable once closed
	refs atomic.Int64 // users, one for the owner; closedBit
	gone chan struct{}
	err  error // of closing fd; read it after gone is closed
}

// newHandle takes over fd, which must be non-blocking, unless it fails.
func newHandle(fd int) (*handle, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	h := &handle{fd: fd, wake: wake, gone: make(chan struct{})}
	h.refs.Store(1)
	return h, nil
}

// acquire keeps the descriptor open until release. It is false once closed.
func (h *handle) acquire() bool {
	for {
		refs := h.refs.Load()
		if refs < 0 {
			return false
		}
		if h.refs.CompareAndSwap(refs, refs+1) {
			return true
		}
	}
}

// release ends what acquire began; the last one out closes the descriptors.
func (h *handle) release() {
	if h.refs.Add(-1) != closedBit {
		return
	}
	h.err = unix.Close(h.fd)
	unix.Close(h.wake)
	close(h.gone)
}

// closed reports whether close was called.
func (h *handle) closed() bool { return h.refs.Load() < 0 }

// close wakes who waits, and returns once every user has left and the descriptor
// is closed. A second call returns net.ErrClosed, at once.
func (h *handle) close() error {
	if h.refs.Or(closedBit) < 0 {
		return net.ErrClosed
	}
	one := [8]byte{7: 1} // any number but zero wakes, in either byte order
	unix.Write(h.wake, one[:])
	h.release()
	<-h.gone
	return h.err
}

// errTimeout is what wait returns when its time is over.
var errTimeout = errors.New("timeout")

// wait blocks until one of the poll events (POLLIN, POLLOUT) holds or an error
// is pending on the descriptor, for at most timeout (for ever if negative; a
// signal begins it anew). Once closed it returns net.ErrClosed. p is the caller's
// scratch: each thread that waits has its own.
func (h *handle) wait(events int16, timeout time.Duration, p *pollScratch) error {
	if p.moment(h, events) {
		if h.closed() {
			return net.ErrClosed
		}
		return nil
	}
	for {
		p.set(h, events)
		n, err := unix.Ppoll(p.fds[:], p.deadline(timeout), nil)
		switch {
		case h.closed():
			return net.ErrClosed
		case err == unix.EINTR: // the Go runtime preempts threads by signals
			continue
		case err == nil && n == 0:
			return errTimeout
		default:
			return err
		}
	}
}

// pollScratch is the memory that one call of ppoll needs.
type pollScratch struct {
	fds  [2]unix.PollFd
	time unix.Timespec // the kernel counts it down
}

func (p *pollScratch) set(h *handle, events int16) {
	p.fds[0] = unix.PollFd{Fd: int32(h.fd), Events: events}
	p.fds[1] = unix.PollFd{Fd: int32(h.wake), Events: unix.POLLIN}
}

// deadline is timeout in the form ppoll takes; nil is for ever.
func (p *pollScratch) deadline(timeout time.Duration) *unix.Timespec {
	if timeout < 0 {
		return nil
	}
	p.time = unix.NsecToTimespec(int64(timeout))
	return &p.time
}

// shortWait is how long a raw wait may take. Under load packets come sooner, and
// the Go scheduler need not know: it would take the loop's processor away and
// give it back, and its watchdog would poll every 20 us to do so. A
// stop-the-world interrupts the wait by a signal.
const shortWait = 200 * time.Microsecond

// moment waits for shortWait and reports whether anything happened.
func (p *pollScratch) moment(h *handle, events int16) bool {
	p.set(h, events)
	p.time = unix.NsecToTimespec(int64(shortWait))
	n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p.fds[0])), uintptr(len(p.fds)),
		uintptr(unsafe.Pointer(&p.time)), 0, 0, 0)
	return errno == 0 && n > 0
}

// yields is how often a loop that finds nothing lets others run before it goes
// to sleep. If others want the core, they go on to make packets, and nobody has
// to wake the loop for them; if nobody wants it, this is over in some tens of
// microseconds, within which the answer to a packet often comes, and a core that
// has not gone to sleep need not be woken.
const yields = 50

// yield lets other threads run, if there are any for this core.
func yield() { unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
