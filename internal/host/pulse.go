// SPDX-License-Identifier: Apache-2.0

package host

import (
	"sync/atomic"
	"time"
)

// A Pulse tells how long a Loop has been at work without a pause, so that
// another goroutine can see that it hangs. The zero value is at rest. It may be
// used concurrently.
type Pulse struct{ began atomic.Pointer[time.Time] }

// AtWork is for how long the loop has been at work; 0 while it waits.
func (p *Pulse) AtWork() time.Duration {
	if began := p.began.Load(); began != nil {
		return max(time.Since(*began), 1)
	}
	return 0
}

// begin notes that the loop has something to do. A nil Pulse notes nothing.
func (p *Pulse) begin() {
	if p != nil {
		now := time.Now()
		p.began.Store(&now)
	}
}

// rest notes that the loop waits.
func (p *Pulse) rest() {
	if p != nil {
		p.began.Store(nil)
	}
}
