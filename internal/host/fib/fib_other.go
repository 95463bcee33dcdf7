// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package fib

import (
	"context"
	"net/netip"
)

// Watch returns ErrPlatform.
func Watch(context.Context) (<-chan struct{}, error) { return nil, ErrPlatform }

// Read returns ErrPlatform.
func Read(netip.Prefix, string) (Host, error) { return Host{}, ErrPlatform }

// Ask returns ErrPlatform.
func Ask(netip.Addr, Origin) (Answer, error) { return Answer{}, ErrPlatform }
