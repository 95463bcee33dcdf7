// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"syscall"
	"time"
	"unsafe"
)

// Clocks of clock_gettime(2). The first stands still while the host is
// suspended, the second (Linux 2.6.39) does not.
const (
	clockMonotonic = 1
	clockBoottime  = 7
)

// asleep is how long this host has been suspended since it booted. Go's clock
// stands still in that time; leases and promises of other nodes go on aging.
func asleep() time.Duration {
	// Whatever is between the two readings looks like sleep: the order makes it
	// too little, never too much.
	boot := readClock(clockBoottime)
	return max(boot-readClock(clockMonotonic), 0)
}

// readClock reads a clock; 0 where the kernel does not have it.
func readClock(id uintptr) time.Duration {
	var t syscall.Timespec
	if _, _, err := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, id, uintptr(unsafe.Pointer(&t)), 0); err != 0 {
		return 0
	}
	return time.Duration(t.Nano())
}
