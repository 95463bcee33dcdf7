package route

import (
	"fmt"
	"sync/atomic"
	"time"
)

const (
	// bulkBytes is how many bytes of superpackets and trains a lane handles without a
	// pause before it counts as amid bulk traffic: more than one message of a
	// request and its response.
	bulkBytes = 64 << 10

	// gathering is how long a lane amid bulk traffic sleeps once it has done
	// everything: the time in which a stream fills a batch. To be woken by the first
	// packet would cost a change of threads for each superpacket.
	gathering = 150 * time.Microsecond

	// maxLulls is how many times in a row it may find nothing of the kind after that: a
	// stream has gaps when its sender has to wait for a core.
	maxLulls = 8

	// patience is for how many rounds a lane may be urgent without a pause. One that
	// never has time to sleep must share its core with the host's other threads.
	patience = 1024
)

// lane is a Lane with its two directions. One thread serves both: most of what
// it does in one direction calls for an answer in the other (TCP sends an
// acknowledgment for every superpacket or two), and a thread that is awake need
// not be woken.
type lane struct {
	Lane
	egress    *egress
	ingress   *ingress
	overflows atomic.Uint64 // of the socket, when last asked

	hurry  func(bool) bool // Config.Hurry; nil once refused
	urgent bool            // what hurry was told last
	lulls  int             // in a row, while urgent
	rounds int             // with something to do, since the last pause
}

// run forwards both ways until the queue or the socket fails or is closed.
func (l *lane) run() error {
	for {
		in, err := l.ingress.step()
		if err != nil {
			return fmt.Errorf("ingress: %w", err)
		}
		out, err := l.egress.step()
		if err != nil {
			return fmt.Errorf("egress: %w", err)
		}
		if in+out > 0 {
			l.carryOn()
			continue
		}
		if err := l.pause(); err != nil {
			return fmt.Errorf("wait: %w", err)
		}
	}
}

// carryOn begins another round without a pause.
func (l *lane) carryOn() {
	if l.rounds++; l.rounds == patience {
		l.setUrgent(false)
	}
}

// pause ends when there may be something to do.
//
// Amid bulk traffic it sleeps for a fixed time, and the lane is urgent: it runs
// as soon as that is over, whoever has the core. What has come by then is a
// batch, and not much more; were the lane to wait for its turn among the threads
// that send and receive, they would meanwhile fill its queues.
func (l *lane) pause() error {
	l.rounds = 0
	if l.amidBulk() && l.setUrgent(true) {
		l.Waiter.Sleep(gathering)
		return nil
	}
	l.setUrgent(false)
	return l.Waiter.Wait()
}

// amidBulk reports whether there was bulk traffic since the last pause. While the
// lane is urgent, any superpacket or train will do, and a few pauses without.
func (l *lane) amidBulk() bool {
	bytes := l.egress.bulk + l.ingress.bulk
	l.egress.bulk, l.ingress.bulk = 0, 0
	if bytes > bulkBytes || l.urgent && bytes > 0 {
		l.lulls = 0
		return true
	}
	l.lulls++
	return l.urgent && l.lulls <= maxLulls
}

// setUrgent reports whether the lane is as urgent as it is told to be.
func (l *lane) setUrgent(on bool) bool {
	if l.urgent == on {
		return true
	}
	if l.hurry == nil {
		return false
	}
	if !l.hurry(on) {
		l.hurry = nil
		return false
	}
	l.urgent = on
	return true
}

// countOverflows asks the socket, as long as it is open.
func (l *lane) countOverflows() uint64 {
	now := l.Conn.Overflows()
	for {
		last := l.overflows.Load()
		if now <= last {
			return last
		}
		if l.overflows.CompareAndSwap(last, now) {
			return now
		}
	}
}
