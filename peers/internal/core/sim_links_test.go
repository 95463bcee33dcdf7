package core

import "time"

// links are the network between the hosts, and what is wrong with it.
type links struct {
	base      time.Duration // datagrams take between a tenth of this and all of it
	loss      float64
	double    float64
	slow      float64       // share of datagrams that are late, and so overtaken
	slowMost  time.Duration // how late at most
	cuts      []*cut
	messages  int64 // sent
	sentBytes int64
}

// cut says which hosts' datagrams do not arrive where.
type cut struct {
	name   string
	blocks func(from, to int) bool // by index of host
	whole  []int8                  // for a plain split: the side of each host
	since  time.Duration
}

func (l *links) cutBetween(from, to int) bool {
	for _, c := range l.cuts {
		if c.blocks(from, to) {
			return true
		}
	}
	return false
}

// lossy reports whether more is wrong than a local network has to bear.
func (l *links) lossy() bool { return len(l.cuts) > 0 || l.loss > 0.05 || l.slow > 0 }

// delay is how long a datagram takes.
func (w *world) delay() time.Duration {
	d := w.between(w.links.base/10, w.links.base)
	if w.chance(w.links.slow) {
		w.tally[datagramsLate]++
		d += w.between(0, w.links.slowMost)
	}
	return d
}

// datagram sends something to an address: it may be lost, doubled, late.
func (h *host) datagram(place, size int, deliver func(to *host)) {
	w := h.w
	w.links.messages++
	w.links.sentBytes += int64(size)
	h.sent += int64(size)
	h.sentMessages++
	copies := 1
	if w.chance(w.links.double) {
		w.tally[datagramsDoubled]++
		copies = 2
	}
	for range copies {
		if w.chance(w.links.loss) {
			w.tally[datagramsLost]++
			continue
		}
		h.transport(place, w.delay(), deliver)
	}
}

// stream sends something over a connection: it arrives, unless there is a cut.
func (h *host) stream(place, size int, deliver func(to *host)) {
	w := h.w
	w.links.messages++
	w.links.sentBytes += int64(size)
	h.sent += int64(size)
	h.sentMessages++
	to := w.at(place)
	if to == nil || w.links.cutBetween(to.index, h.index) {
		return // no answer to the SYN
	}
	h.transport(place, 2*w.between(w.links.base/10, w.links.base), deliver)
}

func (h *host) transport(place int, d time.Duration, deliver func(to *host)) {
	w, from := h.w, h.index
	w.after(d, func() {
		to := w.at(place)
		if to == nil || !to.up {
			return
		}
		if w.links.cutBetween(from, to.index) {
			w.tally[datagramsCut]++
			return
		}
		if to.paused {
			to.deliver(func() { deliver(to) })
		} else if to.core != nil {
			deliver(to)
		}
	})
}

// answers reports whether a probe of another host comes back in time.
func (h *host) answers(to *host) bool {
	w := h.w
	return to.up && !to.paused && !w.links.cutBetween(h.index, to.index) && !w.links.cutBetween(to.index, h.index) &&
		!w.chance(w.links.loss) && !w.chance(w.links.loss) && !w.chance(w.links.slow) && !w.chance(w.links.slow)
}

// connects reports whether a connection can be made.
func (h *host) connects(to *host) bool {
	return to.up && !to.paused && !h.w.links.cutBetween(h.index, to.index) && !h.w.links.cutBetween(to.index, h.index)
}
