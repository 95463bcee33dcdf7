// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"os"
	"runtime"
	"time"
)

// processorsRound is how often the number of processors is asked for again.
const processorsRound = 30 * time.Second

// Processors is how many of the Go scheduler's processors this process has. It
// is what the runtime would take by itself, and one more for each lane.
//
// Each lane has a thread to itself and, while there is traffic, keeps a
// processor busy. With none to spare the scheduler takes it away whenever a
// lane waits for a packet and gives it back afterwards. Its watchdog polls
// every 20 us for that: a fifth of the daemon's CPU time. And gossip would wait
// for a lane to be preempted.
//
// The runtime stops following the CPUs that the process may use, and its
// cgroup's limit, once a program has set a number. So this does.
type Processors struct {
	Lanes int // the express lane among them
}

// adjust asks the runtime for its own number and adds the lanes'. The runtime
// has no other way to tell that number than to use it, for some microseconds.
// One that the environment variable GOMAXPROCS sets stays what it is.
func (p Processors) adjust() {
	if os.Getenv("GOMAXPROCS") != "" {
		return
	}
	runtime.SetDefaultGOMAXPROCS()
	p.Widen()
}

// Widen adds the lanes' processors to the ones that the runtime uses.
func (p Processors) Widen() { runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + p.Lanes) }

// Follow adjusts the number until ctx ends.
func (p Processors) Follow(ctx context.Context) {
	round := time.NewTicker(processorsRound)
	defer round.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-round.C:
			p.adjust()
		}
	}
}
