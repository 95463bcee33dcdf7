// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"log/slog"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"flanneld/route"
)

// laneNice is the nice value of the lanes' threads. A router that waits for a
// time slice delays every sender and receiver behind it; the kernel's own
// tunnels run before any process. At -10 a thread gets some nine tenths of a
// core that it has to share, so that the rest of the host goes on.
const laneNice = -10

// raisePriority gives the calling thread laneNice. Without the right to do so
// (CAP_SYS_NICE) it stays as it is.
func raisePriority(log *slog.Logger) {
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, laneNice); err != nil {
		log.Debug("a lane's thread keeps its priority", "error", err)
	}
}

// setPriority makes the calling thread a real-time one, with the lowest
// priorities among these, or an ordinary one again with the nice value it had.
// It is false without the right to do so (CAP_SYS_NICE).
//
// With PriorityPlain the thread has SCHED_BATCH and the nice value zero: when
// it is woken it takes the core from no other program's thread (sched(7)). From
// there it gets laneNice back first, if it may have it.
func setPriority(p route.Priority) bool {
	if p == route.PriorityPlain {
		renice(0)
		return schedule(unix.SCHED_BATCH, 0)
	}
	if policy, _, _ := unix.RawSyscall(unix.SYS_SCHED_GETSCHEDULER, 0, 0, 0); policy&^unix.SCHED_RESET_ON_FORK == unix.SCHED_BATCH {
		renice(laneNice)
	}
	if p == route.PriorityNormal {
		return schedule(unix.SCHED_NORMAL, 0)
	}
	return schedule(unix.SCHED_RR, int32(p)) // from 1 on (sched(7))
}

// renice sets the calling thread's nice value, where it may.
func renice(nice int) { unix.RawSyscall(unix.SYS_SETPRIORITY, unix.PRIO_PROCESS, 0, uintptr(nice)) }

// schedule sets the calling thread's policy and priority.
func schedule(policy int, priority int32) bool {
	const resetOnFork = unix.SCHED_RESET_ON_FORK
	param := struct{ priority int32 }{priority}
	_, _, errno := unix.RawSyscall(unix.SYS_SCHED_SETSCHEDULER, 0, uintptr(policy|resetOnFork), uintptr(unsafe.Pointer(&param)))
	return errno == 0
}

// cpuTime is the CPU time that the calling thread has used since it began.
func cpuTime() time.Duration {
	var ts unix.Timespec
	unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_THREAD_CPUTIME_ID, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano())
}
