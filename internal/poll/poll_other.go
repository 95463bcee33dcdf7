// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package poll

import "time"

// Descriptor is what queues and sockets are on Linux; elsewhere there are none.
type Descriptor struct{}

// Waiter waits for descriptors on Linux.
type Waiter struct{}

// NewWaiter is for Linux.
func NewWaiter(...*Descriptor) *Waiter { return nil }

// Wait returns nil.
func (*Waiter) Wait(int, time.Duration) error { return nil }

// Rest returns nil.
func (*Waiter) Rest(time.Duration, int) error { return nil }

// Sleep returns at once.
func (*Waiter) Sleep(time.Duration) {}
