// SPDX-License-Identifier: Apache-2.0

// Package privilege checks, before anything is set up, that this process may do
// what flanneld does: configure the network, and open the TUN device.
package privilege

import "errors"

// Errors that Check returns, wrapped in text that says what to do.
var (
	// ErrCapability: CAP_NET_ADMIN is not in the effective set.
	ErrCapability = errors.New("CAP_NET_ADMIN is missing")
	// ErrNoTUN: there is no /dev/net/tun, or nothing behind it.
	ErrNoTUN = errors.New("no TUN device")
	// ErrTUNDenied: /dev/net/tun is there and may not be opened.
	ErrTUNDenied = errors.New("TUN device denied")
	// ErrPlatform: not Linux.
	ErrPlatform = errors.New("flanneld runs on Linux only")
)
