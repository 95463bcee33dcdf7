// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package linktest

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ProcessorTime is the user and system time that the calling thread has used,
// which other programs of a busy machine do not change. The goroutine has to be
// locked to its thread.
func ProcessorTime(t testing.TB) time.Duration {
	t.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
