// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"sync/atomic"
	"time"
)

// load is the traffic of bulk flows that a lane handled in one direction since
// its last pause.
type load struct {
	packets int // or superpackets, or trains
	bytes   int // of superpackets and trains
}

// lane is a Lane with its two directions. One thread serves both. Most traffic
// in one direction causes some in the other: TCP sends an acknowledgment for
// every superpacket or two. A thread that is awake need not be woken for it.
type lane struct {
	Lane
	egress    *egress
	ingress   *ingress
	overflows atomic.Uint64 // of the socket, when last asked

	setPriority  func(Priority) bool // Config.SetPriority
	highest      Priority            // that was not refused
	priority     Priority            // what setPriority was told last
	idleRounds   int                 // pauses in a row after no superpacket or train of a bulk flow
	sparseRounds int                 // pauses in a row after no packet of a bulk flow
	busyRounds   int                 // rounds with something to do, since the last pause

	// Budgets, and when they were charged last.
	batch   budget               // at PriorityBatch
	sparse  budget               // for all but bulk flows
	refused budget               // for what is dropped
	cpuTime func() time.Duration // Config.CPUTime
	clock   func() time.Time
	cpu     time.Duration
	charged time.Time
}

// newLane makes a lane with its buffers. All lanes share limit and flows.
func newLane(l Lane, cfg *Config, limit *icmpLimiter, flows *meter) *lane {
	share := time.Duration(sparseShare)
	if l.Express {
		share = expressShare
	}
	return &lane{
		Lane:        l,
		egress:      newEgress(l, cfg, limit, flows),
		ingress:     newIngress(l, cfg, limit, flows),
		setPriority: cfg.SetPriority,
		highest:     PriorityExpress,
		batch:       budget{share: batchShare},
		sparse:      budget{share: share},
		refused:     budget{share: refusedShare},
		cpuTime:     cfg.CPUTime,
		clock:       time.Now,
		charged:     time.Now(),
	}
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
	l.busyRounds++
	if l.busyRounds%chargeRounds != 0 {
		return
	}
	l.charge()
	switch {
	case l.overspent():
		l.become(PriorityPlain)
	case l.priority > PriorityNormal && (l.batch.used || l.busyRounds == maxBusyRounds):
		l.become(PriorityNormal)
	}
}

// charge charges the budgets with the CPU time since the last time.
func (l *lane) charge() {
	w := l.egress.work
	w.add(l.ingress.work)
	l.egress.work, l.ingress.work = work{}, work{}
	if l.cpuTime == nil {
		return
	}
	now, cpu := l.clock(), l.cpuTime()
	passed, used := now.Sub(l.charged), cpu-l.cpu
	l.charged, l.cpu = now, cpu
	l.batch.charge(used, passed)
	l.refused.charge(w.part(w.refused, used), passed)
	l.sparse.charge(w.part(w.all-w.bulk, used), passed)
}

// overspent reports whether the lane must run at PriorityPlain. It then spends
// its time on packets that it drops, or on more sparse flows than real traffic
// has. Both are floods. The lane continues its work, but takes no core from
// other programs.
func (l *lane) overspent() bool { return l.refused.used || l.sparse.used }

// pause ends when there may be something to do.
//
// Amid bulk traffic it sleeps for a fixed time. The lane runs as soon as that
// is over, whichever thread has the core. By then there is a batch, and not
// much more. If the lane waited for its turn among the threads that send and
// receive, these would fill its queues meanwhile.
//
// The express lane is woken by each packet and runs before all others, as long
// as it meets no bulk flow. (The kernel gives a flow to any queue until it has
// seen an answer.)
//
// Both have a budget. Beyond it a flood would have the core for itself.
func (l *lane) pause() error {
	l.busyRounds = 0
	l.charge()
	bytes := l.takeLoad()
	switch {
	case l.overspent():
		l.become(PriorityPlain)
		return l.Waiter.Wait(looks, shortWait)
	case l.amidBulk(bytes) && !l.batch.used && l.become(PriorityBatch):
		l.Waiter.Sleep(batchWindow)
		return nil
	case l.Express && l.sparseRounds > maxIdleRounds && l.become(PriorityExpress):
		return l.Waiter.Rest(restWait, rests)
	}
	l.become(PriorityNormal)
	return l.Waiter.Wait(looks, shortWait)
}

// takeLoad returns the bytes of bulk flows since the last pause, and counts
// pauses after none.
func (l *lane) takeLoad() (bytes int) {
	packets := l.egress.load.packets + l.ingress.load.packets
	bytes = l.egress.load.bytes + l.ingress.load.bytes
	l.egress.load, l.ingress.load = load{}, load{}
	l.idleRounds++
	l.sparseRounds++
	if bytes > 0 {
		l.idleRounds = 0
	}
	if packets > 0 {
		l.sparseRounds = 0
	}
	return bytes
}

// amidBulk reports whether there is bulk traffic, given its bytes since the
// last pause. At PriorityBatch any superpacket or train is enough, and a few
// pauses may pass without one.
func (l *lane) amidBulk(bytes int) bool {
	return bytes > bulkBytes || l.priority == PriorityBatch && l.idleRounds <= maxIdleRounds
}

// become gives the lane's thread a priority, and reports whether it has it.
func (l *lane) become(p Priority) bool {
	if l.priority == p {
		return true
	}
	if l.setPriority == nil || p > l.highest {
		return false
	}
	if !l.setPriority(p) {
		l.highest = p - 1
		return false
	}
	l.priority = p
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
