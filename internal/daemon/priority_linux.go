package daemon

import (
	"log/slog"

	"golang.org/x/sys/unix"
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
