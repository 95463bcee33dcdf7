//go:build !linux

package underlay

import "net/netip"

// Choose returns ErrPlatform.
func Choose(Options) (Underlay, error) { return Underlay{}, ErrPlatform }

// Overlap returns ErrPlatform.
func Overlap(netip.Prefix, string, ...netip.Prefix) error { return ErrPlatform }
