package daemon

import "runtime"

// makeRoomForLoops lets everything else run beside the forwarding loops, of which
// each has a thread to itself and, while there is traffic, keeps one of the Go
// scheduler's processors busy. With none to spare the scheduler takes it away
// whenever a loop waits for a packet and gives it back afterwards, and its
// watchdog polls every 20 us for that: a fifth of the daemon's CPU time. And
// gossip would wait for a loop to be preempted.
func makeRoomForLoops(lanes int) {
	const loops = 2 // egress and ingress
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + loops*lanes)
}
