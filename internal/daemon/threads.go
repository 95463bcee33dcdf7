package daemon

import "runtime"

// makeRoomForLanes lets everything else run beside the lanes, of which each has a
// thread to itself and, while there is traffic, keeps one of the Go scheduler's
// processors busy. With none to spare the scheduler takes it away whenever a lane
// waits for a packet and gives it back afterwards, and its watchdog polls every
// 20 us for that: a fifth of the daemon's CPU time. And gossip would wait for a
// lane to be preempted. The express lane is one more.
func makeRoomForLanes(lanes int) { runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + lanes + 1) }
