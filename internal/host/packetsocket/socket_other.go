// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package packetsocket

import (
	"context"
	"errors"
	"net"
	"net/netip"
)

// Sender sends packets. Only Linux has packet sockets.
type Sender struct{}

// Send fails.
func (*Sender) Send(string, net.HardwareAddr, []byte, Offload) error { return errors.ErrUnsupported }

// SendMarked fails.
func (*Sender) SendMarked(string, uint32, []byte, Offload) error { return errors.ErrUnsupported }

// SendIPIP fails.
func (*Sender) SendIPIP(_, _ netip.Addr, _ []byte) error { return errors.ErrUnsupported }

// Close does nothing.
func (*Sender) Close() error { return nil }

// Echoes are the echo requests that pass a device.
type Echoes struct{}

// OpenEchoes fails.
func OpenEchoes(string, uint16, netip.Addr) (*Echoes, error) { return nil, errors.ErrUnsupported }

// Next fails.
func (*Echoes) Next() (request, sent bool, err error) { return false, false, errors.ErrUnsupported }

// Close does nothing.
func (*Echoes) Close() error { return nil }

// Receive fails.
func Receive(context.Context, string, netip.Addr, func([]byte)) error { return errors.ErrUnsupported }
