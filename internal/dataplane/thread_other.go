// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package dataplane

// threadID is not known.
func threadID() int { return 0 }

// threadOf knows nothing.
func threadOf(int) Thread { return Thread{} }
