// SPDX-License-Identifier: Apache-2.0

package seal

import "container/heap"

// timers is a heap of the peers that have something to do at a time, the
// earliest first.
type timers []*Peer

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].due.Before(t[j].due) }

func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].timer, t[j].timer = i, j
}

// Push is for package heap.
func (t *timers) Push(x any) {
	p := x.(*Peer)
	p.timer = len(*t)
	*t = append(*t, p)
}

// Pop is for package heap.
func (t *timers) Pop() any {
	last := len(*t) - 1
	p := (*t)[last]
	(*t)[last] = nil
	*t = (*t)[:last]
	p.timer = -1
	return p
}

// set gives a peer the time of its next attempt or expiry, whichever is first.
func (t *timers) set(p *Peer) {
	p.due = p.attemptAt
	for _, s := range []*session{p.previous, p.current.Load(), p.next} {
		if s != nil && (p.due.IsZero() || s.refuseAt.Before(p.due)) {
			p.due = s.refuseAt
		}
	}
	switch {
	case p.due.IsZero() || p.removed.Load():
		if p.timer >= 0 {
			heap.Remove(t, p.timer)
		}
	case p.timer >= 0:
		heap.Fix(t, p.timer)
	default:
		heap.Push(t, p)
	}
}
