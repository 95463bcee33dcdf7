// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package tun

import (
	"fmt"

	"flanneld/internal/poll"
)

// Device is an open TUN device. There is none on this system.
type Device struct{}

// Queue is one queue of a device. There is none on this system.
type Queue struct{}

// Open returns ErrUnsupported.
func Open(cfg Config) (*Device, error) {
	cfg, err := cfg.checked()
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("tun: open device %s: %w", cfg.Name, ErrUnsupported)
}

// Name returns "".
func (*Device) Name() string { return "" }

// Index returns 0.
func (*Device) Index() int { return 0 }

// Created returns false.
func (*Device) Created() bool { return false }

// Offloads returns nil.
func (*Device) Offloads() []OffloadState { return nil }

// Queues returns nil.
func (*Device) Queues() []*Queue { return nil }

// Close does nothing.
func (*Device) Close() error { return nil }

// Read returns ErrUnsupported.
func (*Queue) Read(*Batch) (int, error) { return 0, ErrUnsupported }

// Descriptor returns nil.
func (*Queue) Descriptor() *poll.Descriptor { return nil }

// Write returns ErrUnsupported.
func (*Queue) Write([]byte) error { return ErrUnsupported }

// WriteRun returns ErrUnsupported.
func (*Queue) WriteRun(*Run) error { return ErrUnsupported }

// Offloads returns the zero value.
func (*Queue) Offloads() Offloads { return Offloads{} }

// Close does nothing.
func (*Queue) Close() error { return nil }
