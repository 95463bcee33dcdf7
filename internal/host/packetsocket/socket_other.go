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

// Receive fails.
func Receive(context.Context, string, netip.Addr, func([]byte)) error { return errors.ErrUnsupported }
