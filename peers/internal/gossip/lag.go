// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"sync"
	"time"
)

// lag is how long this node takes to get to what has arrived for it: next to
// nothing, or seconds while other programs have the processors. An answer that
// lies in the socket of a busy node is no sign that its sender is dead. So a
// node that lags waits longer for answers, and asks less often. If it asked as
// often as others do, nodes that are busy together would keep each other busy
// with questions.
//
// The idea is that of "Lifeguard: Local Health Awareness for More Accurate
// Failure Detection" (Dadgar, Phillips and Currey, 2018). It counts missed
// acknowledgements, which a dead half of the network causes as well; a lag is
// this node's alone. It is safe for concurrent use.
type lag struct {
	mu   sync.Mutex
	last time.Duration // as it was at that time
	at   time.Time
}

const (
	maxLag  = 2 * time.Second // a datagram that has waited longer is dropped
	lagHalf = 2 * time.Second // in which a lag that is not seen again halves
)

// note takes in how long something has waited for this node.
func (l *lag) note(waited time.Duration, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if waited = min(waited, maxLag); waited >= l.faded(now) {
		l.last, l.at = waited, now
	}
}

// faded is the lag now; l.mu is held.
func (l *lag) faded(now time.Time) time.Duration {
	halves := now.Sub(l.at) / lagHalf
	if l.last == 0 || halves >= 16 {
		return 0
	}
	return l.last >> max(halves, 0)
}

// now is the lag now: 0 to maxLag.
func (l *lag) now(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.faded(now)
}

// round is how much longer than usual a question and its answer may take. The
// node that is asked may lag as much as this one.
func (l *lag) round(now time.Time) time.Duration {
	return 2 * l.now(now)
}
