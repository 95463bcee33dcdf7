package tun

import (
	"fmt"
	"io/fs"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Queue is one queue of a device. One goroutine at a time may Read; any number
// may Write and Close, also while another reads.
type Queue struct {
	handle *handle
	poll   [2]unix.PollFd // scratch of Read
}

// newQueues makes one queue of each descriptor and takes them over, unless it
// fails.
func newQueues(fds []int) ([]*Queue, error) {
	queues := make([]*Queue, 0, len(fds))
	for _, fd := range fds {
		h, err := newHandle(fd)
		if err != nil {
			for _, q := range queues {
				unix.Close(q.handle.wake)
			}
			return nil, fmt.Errorf("make an eventfd: %w", err)
		}
		queues = append(queues, &Queue{handle: h})
	}
	return queues, nil
}

// Read waits until the queue has a packet, then drains it into b without
// waiting further, up to b's number of slots. It returns the number of packets,
// which is zero only with an error: fs.ErrClosed after Close, ErrDeviceGone
// once the device was deleted.
func (q *Queue) Read(b *Batch) (int, error) {
	if !q.handle.acquire() {
		return 0, fs.ErrClosed
	}
	defer q.handle.release()
	for {
		n, err := q.drain(b)
		if n > 0 {
			return n, nil
		}
		if err != unix.EAGAIN {
			return 0, queueError("read", err)
		}
		if err := q.handle.wait(unix.POLLIN, &q.poll); err != nil {
			return 0, queueError("wait", err)
		}
	}
}

// drain reads until the batch is full or the queue says why it gives no more.
// An error that comes after packets will come again at the next call.
func (q *Queue) drain(b *Batch) (n int, err error) {
	for n < len(b.Packets) {
		size, errno := rawRead(q.handle.fd, b.Slot(n))
		switch errno {
		case 0:
			b.Fill(n, size)
			n++
		case unix.EINTR:
		default:
			return n, errno
		}
	}
	return n, nil
}

// Write hands one packet to the kernel, as if it had arrived on the device.
// packet is not kept. Errors: fs.ErrClosed, ErrDeviceGone, ErrDeviceDown, or
// what the kernel has against the packet; all but the first two concern this
// packet only.
func (q *Queue) Write(packet []byte) error {
	if len(packet) == 0 {
		return fmt.Errorf("tun: write: %w", unix.EINVAL)
	}
	if !q.handle.acquire() {
		return fs.ErrClosed
	}
	defer q.handle.release()
	for {
		errno := rawWrite(q.handle.fd, packet)
		if errno == 0 {
			return nil
		}
		if errno != unix.EINTR {
			return queueError("write", errno)
		}
	}
}

// Close wakes a waiting Read, waits until no call uses the descriptor any more,
// and closes it. Closing again returns fs.ErrClosed.
func (q *Queue) Close() error { return q.handle.close() }

// queueError gives the error numbers of a TUN descriptor their meaning
// (drivers/net/tun.c: EBADFD once detached from its device, EIO while down).
func queueError(op string, err error) error {
	switch err {
	case nil, fs.ErrClosed:
		return err
	case unix.EBADFD:
		return ErrDeviceGone
	case unix.EIO:
		return ErrDeviceDown
	}
	return fmt.Errorf("tun: %s: %w", op, err)
}

// rawRead reads one packet into p, which must not be empty.
func rawRead(fd int, p []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), errno
}

// rawWrite writes one packet, which must not be empty.
func rawWrite(fd int, p []byte) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return errno
}
