//go:build !linux

package underlay

import (
	"context"
	"net/netip"
)

// Choose returns ErrPlatform.
func Choose(Options) (Underlay, error) { return Underlay{}, ErrPlatform }

// Overlap returns ErrPlatform.
func Overlap(netip.Prefix, string, ...netip.Prefix) error { return ErrPlatform }

// Holds returns ErrPlatform.
func Holds(netip.Addr) (bool, error) { return false, ErrPlatform }

// Watch returns ErrPlatform.
func Watch(context.Context) (<-chan struct{}, error) { return nil, ErrPlatform }
