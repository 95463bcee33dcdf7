package encap

import (
	"encoding/binary"
	"fmt"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Overflows is how many datagrams the kernel has dropped so far because the
// receive buffer was full. Zero when it does not tell.
func (c *Conn) Overflows() uint64 {
	if !c.descriptor.Acquire() {
		return 0
	}
	defer c.descriptor.Release()
	// SO_MEMINFO, Linux 4.12: an array of 32-bit words.
	var info [unix.SK_MEMINFO_VARS * 4]byte
	size := uint32(len(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(c.descriptor.FD()), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0
	}
	return uint64(binary.NativeEndian.Uint32(info[unix.SK_MEMINFO_DROPS*4:]))
}

// BufferSizes is how many bytes the kernel holds for one socket in each
// direction: twice what was asked for, as it counts its own bookkeeping, or less
// where the system's limit is lower.
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
