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

// Holds returns ErrPlatform.
func Holds(netip.Addr) (bool, error) { return false, ErrPlatform }

// Watch returns ErrPlatform.
func Watch(context.Context) (<-chan struct{}, error) { return nil, ErrPlatform }
