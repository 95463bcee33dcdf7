// SPDX-License-Identifier: Apache-2.0

package route

import "time"

// How a lane waits when neither its queue nor its socket has anything. These
// numbers were tuned together, by measurement on hosts of two cores. All of
// them are here; internal/poll only does what it is told.
//
//	traffic      thread       pause                        ended by
//	none, other  normal       look, short raw, ordinary    a packet
//	bulk         real-time    sleep for batchWindow        the clock
//	sparse       real-time    raw, ordinary                a packet
//
// A raw wait is a system call that the Go scheduler does not know of. During an
// ordinary one the scheduler gives the thread's processor away and takes it
// back afterwards. Its watchdog polls every 20 us to do so.
const (
	// looks is how often a lane lets other threads run and looks again before
	// it sleeps. Threads that want the core go on to make packets, and no
	// wake-up is needed. If no thread wants the core, the looks are over in
	// some tens of microseconds. The answer to a packet often comes within that
	// time, and a core that is awake need not be woken.
	looks = 50

	// shortWait is how long the raw wait behind the looks may take. Under load
	// the next packet comes sooner. With it, 2 s of one TCP stream took 50 ms
	// of the scheduler's CPU time, without it 114 ms; pings every 4 ms took
	// 0.15 ms instead of 0.18. A stop-the-world interrupts the wait by a
	// signal.
	shortWait = 200 * time.Microsecond

	// restWait is how long each raw wait of the express lane may take, and
	// rests their number. A real-time thread does not look again: that would
	// keep the threads it waits for off the core. Waits of shortWait cost 5 %
	// of a core beside pings every 5 ms, since the watchdog then sees each
	// wait.
	restWait = 5 * time.Millisecond
	rests    = 4

	// bulkBytes is how many bytes of bulk flows' superpackets and trains a lane
	// handles between two pauses before it counts as amid bulk traffic: more
	// than one superpacket.
	bulkBytes = 64 << 10

	// batchWindow is how long a lane amid bulk traffic sleeps in a pause: the
	// time in which a stream fills a batch. Without any sleep pings beside the
	// stream are faster still (99 % within 0.6 to 1.4 ms). But each superpacket
	// then wakes the lane, and throughput falls by a quarter.
	batchWindow = 150 * time.Microsecond

	// maxIdleRounds is how many pauses in a row may find no superpacket or
	// train before the lane is an ordinary thread again. A stream has gaps when
	// its sender has to wait for a core.
	maxIdleRounds = 8

	// maxBusyRounds is for how many rounds without a pause a lane may keep a
	// real-time thread. A lane that never has time to sleep must share its
	// core. A thread that spins beside four streams gets 65 % of a core with
	// this strategy; it got 10 to 29 % while lanes only yielded.
	maxBusyRounds = 1024

	// chargeRounds is after how many rounds without a pause the lane's budgets
	// are charged, as they are in each pause. It divides maxBusyRounds.
	chargeRounds = 32
)
