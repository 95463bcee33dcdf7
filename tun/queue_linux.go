// SPDX-License-Identifier: Apache-2.0

package tun

import (
	"fmt"
	"io/fs"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"flanneld/internal/packet"
	"flanneld/internal/poll"
)

// Queue is one queue of a device. One goroutine at a time may Read, one may
// WriteRun. Any number may Write and Close, also while others read and write.
type Queue struct {
	descriptor *poll.Descriptor

	frames bool // packets have a virtio header in front
	tcp    atomic.Bool
	udp    atomic.Bool // superpackets may be written

	out struct { // scratch of WriteRun
		header [virtioLen]byte
		iovecs [1 + maxRun]unix.Iovec
		memory [packet.MaxHeadersLen]byte
	}
}

// newQueues makes one queue of each descriptor and takes them over, unless it
// fails.
func newQueues(fds []int, o Offloads) ([]*Queue, error) {
	queues := make([]*Queue, 0, len(fds))
	for _, fd := range fds {
		d, err := poll.NewDescriptor(fd)
		if err != nil {
			for _, q := range queues {
				q.descriptor.Disown()
			}
			return nil, fmt.Errorf("make an eventfd: %w", err)
		}
		q := &Queue{descriptor: d, frames: o.any()}
		q.tcp.Store(o.TCP)
		q.udp.Store(o.UDP)
		queues = append(queues, q)
	}
	return queues, nil
}

// Offloads are the queue's present ones. TCP and UDP are lost when the kernel
// refuses written superpackets; it continues to deliver superpackets.
func (q *Queue) Offloads() Offloads {
	return Offloads{Checksum: q.frames, TCP: q.tcp.Load(), UDP: q.udp.Load()}
}

// Descriptor is the descriptor to wait on until there is something to Read.
func (q *Queue) Descriptor() *poll.Descriptor { return q.descriptor }

// Read drains the queue into b without waiting, up to b's number of slots. It
// returns the number of packets, zero when there are none. Errors come without
// packets: fs.ErrClosed after Close, ErrDeviceGone once the device was deleted.
func (q *Queue) Read(b *Batch) (int, error) {
	if !q.descriptor.Acquire() {
		return 0, fs.ErrClosed
	}
	defer q.descriptor.Release()
	n, err := q.drain(b)
	if n > 0 || err == unix.EAGAIN {
		return n, nil
	}
	return 0, queueError("read", err)
}

// drain reads until the batch is full or the queue returns an error. An error
// that comes after packets will come again at the next call.
func (q *Queue) drain(b *Batch) (n int, err error) {
	b.Reset()
	for {
		room := b.Slot()
		if q.frames {
			room = b.frame()
		}
		if room == nil {
			return len(b.Packets), nil
		}
		size, errno := rawRead(q.descriptor.FD(), room)
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			return len(b.Packets), errno
		case q.frames:
			b.addFrame(size)
		default:
			b.Add(size, 0)
		}
	}
}

// Write hands one packet to the kernel, as if it had arrived on the device.
// packet is not kept. Errors: fs.ErrClosed, ErrDeviceGone, ErrDeviceDown, or
// the kernel's error about the packet. All except the first two concern this
// packet only.
func (q *Queue) Write(packet []byte) error {
	if len(packet) == 0 {
		return fmt.Errorf("tun: write: %w", unix.EINVAL)
	}
	if !q.descriptor.Acquire() {
		return fs.ErrClosed
	}
	defer q.descriptor.Release()
	return queueError("write", q.writePacket(packet))
}

// noOffload is the virtio header of a packet that is complete.
var noOffload [virtioLen]byte

// writePacket writes a packet that is complete. The result is an error number
// or nil.
func (q *Queue) writePacket(packet []byte) error {
	for {
		var errno unix.Errno
		if q.frames {
			iovecs := [2]unix.Iovec{{Base: &noOffload[0]}, {Base: &packet[0]}}
			iovecs[0].SetLen(virtioLen)
			iovecs[1].SetLen(len(packet))
			errno = rawWritev(q.descriptor.FD(), iovecs[:])
		} else {
			errno = rawWrite(q.descriptor.FD(), packet)
		}
		if errno == 0 {
			return nil
		}
		if errno != unix.EINTR {
			return errno
		}
	}
}

// Close wakes blocked waiters, waits until no call uses the descriptor any
// more, and closes it. Closing again returns fs.ErrClosed.
//
// It turns offloads off before, because the next program that opens the device
// may not expect superpackets.
func (q *Queue) Close() error {
	if q.frames && q.descriptor.Acquire() {
		_ = unix.IoctlSetInt(q.descriptor.FD(), unix.TUNSETOFFLOAD, 0) // fails when the device is gone
		q.descriptor.Release()
	}
	return q.descriptor.Close()
}

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

// rawWritev writes one packet out of several pieces.
func rawWritev(fd int, iovecs []unix.Iovec) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&iovecs[0])), uintptr(len(iovecs)))
	return errno
}
