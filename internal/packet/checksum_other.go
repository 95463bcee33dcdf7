// SPDX-License-Identifier: Apache-2.0

//go:build !amd64

package packet

import "math"

// wideThreshold is never reached.
func wideThreshold() int { return math.MaxInt }

// sumWide is not called.
func sumWide([]byte) uint64 { panic("packet: no wide sums on this machine") }
