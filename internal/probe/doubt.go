// SPDX-License-Identifier: Apache-2.0

package probe

import "time"

// With many busy targets the pauses between probes are long. So a conversation
// on a chosen path is watched: as long as packets go both ways, the path is
// believed in. Where packets still go out and none comes back, the path is in
// doubt, and is probed at once: each kind of probe twice, half a second apart
// if the first is not answered by then. One that is lost has the usual
// consequences.
const (
	// conversationTime is how long ago packets may have gone both ways, for
	// their end to be noticed: three looks.
	conversationTime = 3 * lookTime
	// doubtTime is how long the pauses are short.
	doubtTime = 400 * time.Millisecond
	// A doubt costs up to 13 kB. Conversations that end in this way without
	// any loss cost no more than 450 B/s.
	doubtsAtOnce = 32
	doubtsEach   = 30 * time.Second
)

// converse follows a conversation from look to look. busy: this look has seen
// traffic, of as many packets out and in. It reports whether the path is to be
// doubted.
func (p *path) converse(busy bool, out, in uint64, now time.Time) bool {
	if busy && out > 0 && in > 0 {
		p.conversed = now
		return false
	}
	if p.Role != Chosen || p.State != Works || out == 0 || in > 0 || now.Sub(p.conversed) > conversationTime {
		return false
	}
	p.conversed = time.Time{}
	return true
}

// doubt has all kinds of probes sent at once.
func (p *path) doubt(now time.Time) {
	p.doubted = now
	p.smallDue, p.largeDue, p.tally.due = now, now, now
}

// schedule returns when the next probe of a kind is due after one that is sent
// now. In doubt that is soon, and settled is when it is due if this one is
// answered.
func (p *path) schedule(pause time.Duration, now time.Time) (due, settled time.Time) {
	due = now.Add(spread(pause))
	if now.Sub(p.doubted) < doubtTime {
		return earlier(due, now.Add(largeAgain)), due
	}
	return due, time.Time{}
}

// settle puts the next probe off to its usual time after an answer to the
// first one of a doubt.
func (p *path) settle(f *flight, due *time.Time) {
	if !f.sent.Before(p.doubted) && due.Before(f.settled) {
		*due = f.settled
	}
}
