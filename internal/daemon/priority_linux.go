package daemon

import (
	"log/slog"
	"unsafe"

	"golang.org/x/sys/unix"

	"flanneld/route"
)

// laneNice is the nice value of the lanes' threads. A router that waits for a
// time slice makes everybody wait who sends or receives through it; the kernel's
// own tunnels run before any process. At -10 a thread gets some nine tenths of a
// core that it has to share, so that the rest of the host goes on.
const laneNice = -10

// raisePriority gives the calling thread laneNice. Without the right to do so
// (CAP_SYS_NICE) it stays as it is.
func raisePriority(log *slog.Logger) {
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, laneNice); err != nil {
		log.Debug("a lane's thread keeps its priority", "error", err)
	}
}

// hurry makes the calling thread a real-time one, of the lowest priorities there
// are among them, or an ordinary one again, of the nice value it had. It is false
// without the right to do so (CAP_SYS_NICE).
func hurry(u route.Urgency) bool {
	policy, param := unix.SCHED_RR, struct{ priority int32 }{int32(u)} // from 1 on (sched(7))
	if u == route.Ordinary {
		policy = unix.SCHED_NORMAL
	}
	const resetOnFork = unix.SCHED_RESET_ON_FORK
	_, _, errno := unix.RawSyscall(unix.SYS_SCHED_SETSCHEDULER, 0, uintptr(policy|resetOnFork), uintptr(unsafe.Pointer(&param)))
	return errno == 0
}
