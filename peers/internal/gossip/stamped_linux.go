// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"net"
	"net/netip"
	"syscall"
	"time"
	"unsafe"
)

// stampedUDP is a UDP socket that knows when the kernel took a datagram in.
type stampedUDP struct {
	*net.UDPConn
	control []byte // of the last read
}

// stampSize is the size of a time stamp in bytes.
const stampSize = int(unsafe.Sizeof(syscall.Timespec{}))

// stamped asks for the time of each datagram: SO_TIMESTAMPNS, of Linux 2.6.22.
// Where the kernel has none, none has waited.
func stamped(udp *net.UDPConn) Datagrams {
	if raw, err := udp.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_TIMESTAMPNS, 1) })
	}
	return &stampedUDP{udp, make([]byte, syscall.CmsgSpace(stampSize))}
}

// Read implements [Datagrams].
func (s *stampedUDP) Read(b []byte) (n int, from netip.AddrPort, waited time.Duration, err error) {
	n, controls, _, from, err := s.ReadMsgUDPAddrPort(b, s.control)
	if err == nil {
		waited = waitedFor(s.control[:controls], time.Now())
	}
	return n, from, waited, err
}

// waitedFor is how long ago the time in a control message was, zero where there
// is none. Both are times of the host's clock, which can have been set
// meanwhile.
func waitedFor(control []byte, now time.Time) time.Duration {
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return 0
	}
	for _, m := range messages {
		if m.Header.Level == syscall.SOL_SOCKET && m.Header.Type == syscall.SCM_TIMESTAMPNS && len(m.Data) >= stampSize {
			at := *(*syscall.Timespec)(unsafe.Pointer(&m.Data[0])) // aligned, as cmsg(3) says
			return max(now.Sub(time.Unix(at.Unix())), 0)
		}
	}
	return 0
}
