// SPDX-License-Identifier: Apache-2.0

package sim

import "time"

// links are the network between the hosts, and what is wrong with it.
type links struct {
	Base      time.Duration // datagrams take a tenth of this to the whole
	Loss      float64
	Double    float64
	slow      float64       // share of datagrams that are late, and so overtaken
	slowMost  time.Duration // how late at most
	Cuts      []*Cut
	messages  int64 // sent
	sentBytes int64
}

// Cut says which hosts' datagrams do not arrive where.
type Cut struct {
	name   string
	Blocks func(from, to int) bool // by index of host
	whole  []int8                  // for a plain split: the side of each host
	since  time.Duration
}

func (l *links) cutBetween(from, to int) bool {
	for _, c := range l.Cuts {
		if c.Blocks(from, to) {
			return true
		}
	}
	return false
}

// lossy reports whether more is wrong than a local network has to bear.
func (l *links) lossy() bool { return len(l.Cuts) > 0 || l.Loss > 0.05 || l.slow > 0 }

// delay is how long a datagram takes.
func (w *World) delay() time.Duration {
	d := w.between(w.Links.Base/10, w.Links.Base)
	if w.chance(w.Links.slow) {
		w.tally[datagramsLate]++
		d += w.between(0, w.Links.slowMost)
	}
	return d
}

// countSent counts a message of so many bytes.
func (h *Host) countSent(size int) {
	h.World.Links.messages++
	h.World.Links.sentBytes += int64(size)
	h.sent += int64(size)
	h.sentMessages++
}

// datagram sends something to an address: it may be lost, doubled, late.
func (h *Host) datagram(place, size int, deliver func(to *Host)) {
	w := h.World
	h.countSent(size)
	copies := 1
	if w.chance(w.Links.Double) {
		w.tally[datagramsDoubled]++
		copies = 2
	}
	for range copies {
		if w.chance(w.Links.Loss) {
			w.tally[datagramsLost]++
			continue
		}
		h.transport(place, w.delay(), deliver)
	}
}

// stream sends something over a connection: it arrives, unless there is a cut.
func (h *Host) stream(place, size int, deliver func(to *Host)) {
	w := h.World
	h.countSent(size)
	to := w.at(place)
	if to == nil || w.Links.cutBetween(to.Index, h.Index) {
		return // no answer to the SYN
	}
	h.transport(place, 2*w.between(w.Links.Base/10, w.Links.Base), deliver)
}

func (h *Host) transport(place int, d time.Duration, deliver func(to *Host)) {
	w, from := h.World, h.Index
	w.after(d, func() {
		to := w.at(place)
		if to == nil || !to.up {
			return
		}
		if w.Links.cutBetween(from, to.Index) {
			w.tally[datagramsCut]++
			return
		}
		if to.paused {
			to.deliver(func() { deliver(to) })
		} else if to.Core != nil {
			deliver(to)
		}
	})
}

// answers reports whether a probe of another host comes back in time.
func (h *Host) answers(to *Host) bool {
	w := h.World
	return to.up && !to.paused && !w.Links.cutBetween(h.Index, to.Index) && !w.Links.cutBetween(to.Index, h.Index) &&
		!w.chance(w.Links.Loss) && !w.chance(w.Links.Loss) && !w.chance(w.Links.slow) && !w.chance(w.Links.slow)
}

// connects reports whether a connection can be made.
func (h *Host) connects(to *Host) bool {
	return to.up && !to.paused && !h.World.Links.cutBetween(h.Index, to.Index) && !h.World.Links.cutBetween(to.Index, h.Index)
}
