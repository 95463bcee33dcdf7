package encap

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// PathMTU asks the kernel how large an IP packet to addr may be, outer headers
// included: the MTU of the route's interface, or what a router's ICMP message
// made of it. It does not touch the lane's socket, takes a handful of system
// calls, and is meant for the moment after ErrTooLong.
func (c *Conn) PathMTU(addr netip.Addr) (int, error) {
	mtu, err := pathMTU(c.local.Addr(), addr.Unmap())
	if err != nil {
		return 0, fmt.Errorf("encap: path MTU to %s: %w", addr, err)
	}
	return mtu, nil
}

// pathMTU connects a socket, because only a connected one has a path. Nothing is
// sent.
func pathMTU(local, remote netip.Addr) (int, error) {
	if !remote.Is4() {
		return 0, unix.EAFNOSUPPORT
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	// The route may depend on the source address.
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: local.As4()}); err != nil {
		return 0, err
	}
	const anyPort = 9 // discard; routes do not look at it
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: remote.As4(), Port: anyPort}); err != nil {
		return 0, err
	}
	return unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU)
}

// Overflows is how many datagrams the kernel has dropped so far because the
// receive buffer was full. Zero when it does not tell.
func (c *Conn) Overflows() uint64 {
	if !c.handle.acquire() {
		return 0
	}
	defer c.handle.release()
	// SO_MEMINFO, Linux 4.12: an array of 32-bit words.
	var info [unix.SK_MEMINFO_VARS * 4]byte
	size := uint32(len(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(c.handle.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0
	}
	return uint64(binary.NativeEndian.Uint32(info[unix.SK_MEMINFO_DROPS*4:]))
}

// BufferSizes is how many bytes the kernel holds for this socket in each
// direction: twice what was asked for, as it counts its own bookkeeping, or less
// where the system's limit is lower.
func (c *Conn) BufferSizes() (receive, send int, err error) {
	if !c.handle.acquire() {
		return 0, 0, net.ErrClosed
	}
	defer c.handle.release()
	receive, err = unix.GetsockoptInt(c.handle.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return 0, 0, fmt.Errorf("encap: buffer size: %w", err)
	}
	send, err = unix.GetsockoptInt(c.handle.fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	if err != nil {
		return 0, 0, fmt.Errorf("encap: buffer size: %w", err)
	}
	return receive, send, nil
}
