// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package underlay

import (
	"context"
	"net/netip"
)

// Others returns ErrPlatform.
func Others(Options, netip.Addr, []netip.Addr) ([]Underlay, error) { return nil, ErrPlatform }

// Choose returns ErrPlatform.
func Choose(Options) (Underlay, error) { return Underlay{}, ErrPlatform }

// Overlaps returns ErrPlatform.
func Overlaps(netip.Prefix, string, ...netip.Prefix) ([]Overlap, error) { return nil, ErrPlatform }

// At returns ErrPlatform.
func At(Options, netip.Addr) (Underlay, bool, error) { return Underlay{}, false, ErrPlatform }

// Watch returns ErrPlatform.
func Watch(context.Context) (<-chan struct{}, error) { return nil, ErrPlatform }
