// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"math"

	"golang.org/x/sys/cpu"
)

// wideThreshold is where sumWide has made up for being called.
func wideThreshold() int {
	if cpu.X86.HasAVX2 { // and the operating system keeps its registers
		return 192
	}
	return math.MaxInt
}

// sumWide is the sum of b. Its length is a multiple of wideBlock and below
// 16 GB. The processor has AVX2.
//
//go:noescape
func sumWide(b []byte) uint64
