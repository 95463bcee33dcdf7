// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package encap

import (
	"fmt"
	"net/netip"

	"flanneld/internal/poll"
)

// Conn is one lane's socket. There is none on this system.
type Conn struct{}

// Listen returns ErrUnsupported.
func Listen(addr netip.AddrPort, cfg Config) ([]*Conn, error) {
	if _, err := cfg.checked(addr); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("encap: listen on UDP %s: %w", addr, ErrUnsupported)
}

// LocalAddr returns the zero value.
func (*Conn) LocalAddr() netip.AddrPort { return netip.AddrPort{} }

// Express returns false.
func (*Conn) Express() bool { return false }

// Sources returns 1.
func (*Conn) Sources() int { return 1 }

// Send returns ErrUnsupported.
func (*Conn) Send([]Message) (int, error) { return 0, ErrUnsupported }

// SendOne returns ErrUnsupported.
func (*Conn) SendOne(netip.AddrPort, []byte) error { return ErrUnsupported }

// Receive returns ErrUnsupported.
func (*Conn) Receive([]Message) (int, error) { return 0, ErrUnsupported }

// Descriptor returns nil.
func (*Conn) Descriptor() *poll.Descriptor { return nil }

// MaxSegments returns 1.
func (*Conn) MaxSegments() int { return 1 }

// Offloads returns nil.
func (*Conn) Offloads() []OffloadState { return nil }

// PathMTU returns ErrUnsupported.
func (*Conn) PathMTU(netip.Addr) (int, error) { return 0, ErrUnsupported }

// Overflows returns 0.
func (*Conn) Overflows() uint64 { return 0 }

// BufferSizes returns ErrUnsupported.
func (*Conn) BufferSizes() (receive, send int, err error) { return 0, 0, ErrUnsupported }

// Close does nothing.
func (*Conn) Close() error { return nil }
