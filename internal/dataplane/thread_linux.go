// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"time"

	"golang.org/x/sys/unix"
)

func threadID() int { return unix.Gettid() }

// policies are the names of the kernel's (sched(7)).
var policies = map[uint32]string{
	unix.SCHED_NORMAL: "other", unix.SCHED_BATCH: "batch", unix.SCHED_RR: "rr",
}

// threadOf asks the kernel about a thread of this process. The thread itself
// is not disturbed.
func threadOf(tid int) (t Thread) {
	if attr, err := unix.SchedGetAttr(tid, 0); err == nil {
		t.Policy, t.Priority, t.Nice = policies[attr.Policy], int(attr.Priority), int(attr.Nice)
	}
	// The clock of another thread's CPU time (clock_getcpuclockid(3), and
	// MAKE_THREAD_CPUCLOCK in the kernel's posix-timers_types.h).
	const perThread, scheduled = 4, 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^tid<<3|perThread|scheduled), &ts); err == nil {
		t.CPU = time.Duration(ts.Nano())
	}
	return t
}
