package route

import (
	"fmt"
	"sync/atomic"
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
			continue
		}
		if err := l.Waiter.Wait(); err != nil {
			return fmt.Errorf("wait: %w", err)
		}
	}
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
