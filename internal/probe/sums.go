// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"time"

	"flanneld/internal/packet"
)

// segments is how many segments a probe of checksums is cut into.
const segments = 2

// sumsTally is what is under way to find out about checksums.
type sumsTally struct {
	due    time.Time
	misses int  // in a row
	whole  bool // since the first miss, a segment with a whole checksum was answered
}

// left is a probe that leaves its checksum and segmentation to the device.
// Segments are as large as the path takes.
func (p *path) left() request {
	size := min(max(p.Longest(), tcpHeaders+1), packet.MaxLen)
	segment := size - tcpHeaders
	return request{
		destination: p.own(), ttl: plainTTL, tcp: true,
		size:    min(tcpHeaders+segments*segment, packet.MaxLen),
		offload: Offload{Checksum: true, Segment: segment},
	}
}

// calibrates is the same in one segment, with nothing left to the device. It
// tells a filter that drops such packets from a broken checksum.
func (p *path) calibrates() request {
	r := p.left()
	r.size, r.offload = tcpHeaders+r.offload.Segment, Offload{}
	return r
}

// probeSums sends what is due. All packets of this size have to pass before.
func (p *Prober) probeSums(t *path, c pace, now time.Time) {
	if !t.sumsReady() || now.Before(t.tally.due) {
		return
	}
	due, settled := t.schedule(c.large(t), now)
	t.tally.due = due
	if t.tally.misses > 0 && t.Sums != SumsUnclear {
		t.tally.due = earlier(t.tally.due, now.Add(largeAgain))
	}
	if t.Sums != SumsGood || t.tally.misses > 0 {
		p.send(t, t.calibrates(), now, settled)
	}
	p.send(t, t.left(), now, settled)
}

// sumsReady reports whether checksums can be told from other troubles.
func (p *path) sumsReady() bool { return p.Checksums && p.State == Works && p.Full }

// takeSums counts a reset.
func (p *path) takeSums(f *flight) {
	if !f.offload.Checksum {
		p.tally.whole = true
		return
	}
	p.tally.misses, p.tally.whole = 0, false
	p.settle(f, &p.tally.due)
	p.Sums = SumsGood
}

// missSums counts a probe that left its checksum to the device. The path is
// condemned only where the same segment with a whole checksum is answered.
func (p *path) missSums(f *flight, now time.Time) {
	p.smallDue = earlier(p.smallDue, now) // are all packets lost?
	if !f.offload.Checksum || p.smallMisses > 0 || !p.sumsReady() {
		return
	}
	if p.Sums != SumsUnclear || p.tally.whole {
		p.tally.due = now
	}
	if p.tally.misses++; p.tally.misses < misses {
		return
	}
	if p.tally.whole {
		p.Sums = SumsBroken
	} else {
		p.Sums = SumsUnclear
	}
	p.tally = sumsTally{due: p.tally.due}
}

// TrySums forgets what is known of checksums and begins anew, because the
// device's settings have changed.
func (p *Prober) TrySums() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.paths {
		p.watching(t, func() { t.Sums, t.tally = SumsNotTried, sumsTally{} })
	}
	for sequence, f := range p.flights {
		if f.tcp {
			delete(p.flights, sequence)
		}
	}
	p.wake()
}
