// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Overflows is how many datagrams the kernel has dropped so far because the
// receive buffer was full. It never decreases. It stays constant once the Conn
// is closed, and if the kernel does not report it.
//
// The kernel counts with 32 bits. To miss no overflow of that counter, call
// this more often than 2^32 datagrams can arrive: every few minutes.
func (c *Conn) Overflows() uint64 {
	c.overflows.mu.Lock() // before the kernel is asked: answers must not overtake
	defer c.overflows.mu.Unlock()
	if drops, ok := c.drops(); ok {
		c.overflows.set(drops)
	}
	return c.overflows.total
}

// drops is the kernel's own counter.
func (c *Conn) drops() (n uint32, ok bool) {
	if !c.descriptor.Acquire() {
		return 0, false
	}
	defer c.descriptor.Release()
	// SO_MEMINFO, Linux 4.12: an array of 32-bit words.
	var info [unix.SK_MEMINFO_VARS * 4]byte
	size := uint32(len(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(c.descriptor.FD()), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, false
	}
	return binary.NativeEndian.Uint32(info[unix.SK_MEMINFO_DROPS*4:]), true
}

// odometer continues a 32-bit counter of the kernel that wraps.
type odometer struct {
	mu    sync.Mutex
	last  uint32 // of the kernel's
	total uint64
}

// set takes the kernel's counter over. mu must be held.
func (o *odometer) set(now uint32) {
	o.total += uint64(now - o.last) // modulo 2^32
	o.last = now
}

// BufferSizes is how many bytes the kernel holds for one socket in each
// direction. It is twice the requested size, as the kernel counts its own
// bookkeeping, or less if the system's limit is lower.
func (c *Conn) BufferSizes() (receive, send int, err error) {
	if !c.descriptor.Acquire() {
		return 0, 0, net.ErrClosed
	}
	defer c.descriptor.Release()
	receive, err = unix.GetsockoptInt(c.descriptor.FD(), unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return 0, 0, fmt.Errorf("encap: buffer size: %w", err)
	}
	send, err = unix.GetsockoptInt(c.sources[0], unix.SOL_SOCKET, unix.SO_SNDBUF)
	if err != nil {
		return 0, 0, fmt.Errorf("encap: buffer size: %w", err)
	}
	return receive, send, nil
}
