//go:build !amd64

package tun

import "math"

// wideThreshold is never reached.
func wideThreshold() int { return math.MaxInt }

// sumWide is not called.
func sumWide([]byte) uint64 { panic("tun: no wide sums on this machine") }
