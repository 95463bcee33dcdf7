// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"context"
	"time"
)

// Election decides which one of several nodes without a network founds it.
type Election interface {
	// MayFound reports whether this node is to found the network. It is
	// asked again as long as the answer is no and no seed answers. The
	// error, or the reason where there is no error, says what is waited for.
	MayFound(ctx context.Context) (yes bool, reason string, err error)
}

// Timing of the election, which asks an API.
const (
	electFirst = 500 * time.Millisecond // after the first question; doubled up to electMost
	electMost  = 15 * time.Second
	electTime  = 15 * time.Second // for one answer
)

// founder is an election that goes on. It belongs to the goroutine of
// [Joiner.Run].
type founder struct {
	Election
	elected chan struct{} // one token: this node is to found the network
	reason  string        // what is waited for
	askAt   time.Time
	pause   time.Duration
}

// Elect lets the joiner ask an election after rounds in which no seed has
// answered. The channel gets one token if this node is to found the network. It
// must be called before [Joiner.Run].
func (j *Joiner) Elect(e Election) (elected <-chan struct{}) {
	j.founder = &founder{Election: e, elected: make(chan struct{}, 1)}
	return j.founder.elected
}

// mayFound asks the election where that is due.
func (j *Joiner) mayFound(ctx context.Context) {
	f := j.founder
	if f == nil || j.joined.Load() || time.Now().Before(f.askAt) || ctx.Err() != nil {
		return
	}
	if _, all := j.failing(); !all {
		return // what a seed has answered may be under way
	}
	within, cancel := context.WithTimeout(ctx, electTime)
	defer cancel()
	yes, reason, err := f.MayFound(within)
	if ctx.Err() != nil {
		return
	}
	f.pause = min(max(2*f.pause, electFirst), electMost)
	f.askAt = time.Now().Add(jitter(f.pause))
	if err != nil {
		reason = err.Error()
	}
	if reason != f.reason && reason != "" {
		j.log.Info("no network yet", "waiting", reason)
	}
	f.reason = reason
	if yes {
		notify(f.elected)
	}
	j.summarize()
}
