// SPDX-License-Identifier: Apache-2.0

package route

import "time"

// Shares of a core, in percent, that a lane may use in a role that takes time
// from the host's other threads.
const (
	// batchShare is for a lane that runs before ordinary threads amid bulk
	// traffic. Its nice value gives it as much of a core that it has to share.
	batchShare = 90

	// expressShare is for sparse flows on the express lane. A hundred thousand
	// datagrams a second, each with its own wake-up, take as much; a flood
	// takes more. sparseShare is for sparse flows on other lanes, such as a
	// plain flannel host's.
	expressShare = 25
	sparseShare  = 50

	// refusedShare is for packets that a lane drops because they are invalid.
	refusedShare = 10
)

// budgetBurst is how much CPU time may be used beyond the share.
const budgetBurst = 20 * time.Millisecond

// budget bounds the share of a core that a thread uses in some role. It is used
// up once the thread has had budgetBurst more than the share, and whole again
// once the thread has made up for all of that. The thread is never stopped; it
// loses its priority.
type budget struct {
	share  time.Duration // percent of a core
	excess time.Duration // CPU time beyond the share, 0 to budgetBurst
	used   bool          // up
}

// charge counts CPU time that was used while some time passed.
func (b *budget) charge(cpu, passed time.Duration) {
	b.excess = min(max(0, b.excess+cpu-passed*b.share/100), budgetBurst)
	switch b.excess {
	case 0:
		b.used = false
	case budgetBurst:
		b.used = true
	}
}

// work is how many packets a lane has handled in one direction. A superpacket
// counts as its segments.
type work struct {
	all     int
	refused int // dropped for a fault of their own; see Reason.refusal
	bulk    int // of bulk flows
}

// add adds more work.
func (w *work) add(other work) {
	w.all += other.all
	w.refused += other.refused
	w.bulk += other.bulk
}

// part is the share of n packets in the time that the work w took. Without any
// packets it is all of that time: the thread was woken by something that the
// kernel itself refused, such as a datagram with a wrong checksum.
func (w work) part(n int, took time.Duration) time.Duration {
	if w.all == 0 {
		return took
	}
	return took * time.Duration(min(n, w.all)) / time.Duration(w.all)
}
