// SPDX-License-Identifier: Apache-2.0

package probe

import "time"

// inbox takes the answers to the packets that have its token.
type inbox struct {
	token   token
	answers chan answer
}

// answer is a reply with its time.
type answer struct {
	reply
	at time.Time
}

// waiting is how many answers may wait for a Prober or a Ping.
const waiting = 256

// newInbox makes one with room for so many answers.
func newInbox(room int) inbox { return inbox{token: newToken(), answers: make(chan answer, room)} }

// stamped makes one for probes with a stamp.
func stamped(room int, s Stamp) inbox {
	i := newInbox(room)
	i.token.stamp = s
	return i
}

// Answer takes a packet that came for Source, and reports whether it is the
// answer to a probe. An answer without the stamp that it needs is taken, and
// does not count. It never waits, keeps nothing of the packet, and may be
// called from any goroutine.
func (i *inbox) Answer(packet []byte) bool {
	r, ok := i.token.parse(packet)
	if !ok || !r.stamped {
		return ok
	}
	i.push(r)
	return true
}

// AnswerElsewhere is Answer for a packet that came by another path than the one
// that is to be proven. Of probes with a stamp only TCP resets count then: they
// tell that a segment arrived whole.
func (i *inbox) AnswerElsewhere(packet []byte) bool {
	r, ok := i.token.parse(packet)
	if ok && (r.tcp || i.token.stamp == (Stamp{})) {
		i.push(r)
	}
	return ok
}

func (i *inbox) push(r reply) {
	select {
	case i.answers <- answer{r, time.Now()}:
	default: // the probe is lost, and another will follow
	}
}
