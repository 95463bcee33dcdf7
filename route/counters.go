// SPDX-License-Identifier: Apache-2.0

package route

import "sync/atomic"

// Volume is an amount of traffic. Bytes count the overlay packets, with IP
// headers and without outer headers.
type Volume struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Counters is what the forwarder has done since it was made. The numbers only
// grow.
type Counters struct {
	Egress  Direction `json:"egress"`
	Ingress Direction `json:"ingress"`
	Answers Answers   `json:"answers"`
}

// Direction is one direction of Counters.
type Direction struct {
	Volume

	// Drops has every reason of this direction, always in the same order, also
	// reasons that have not occurred.
	Drops []Drop `json:"drops"`
}

// Drop is how many packets were dropped for one reason.
type Drop struct {
	Reason  Reason `json:"reason"`
	Packets uint64 `json:"packets"`
}

// Answers is what happened to the ICMP messages that dropped packets called
// for.
type Answers struct {
	Sent       uint64 `json:"sent"`
	Suppressed uint64 `json:"suppressed"` // too many a second
	Failed     uint64 `json:"failed"`     // the device did not take them
}

// traffic is a Volume that lanes add to.
type traffic struct{ packets, bytes atomic.Uint64 }

func (t *traffic) add(v Volume) {
	t.packets.Add(v.Packets)
	t.bytes.Add(v.Bytes)
}

func (t *traffic) volume() Volume { return Volume{t.packets.Load(), t.bytes.Load()} }

// counters are those of one direction of a lane. Only the lane adds; any
// goroutine may load.
type counters struct {
	_          cacheLine
	traffic    traffic
	drops      [reasonCount]atomic.Uint64
	answered   atomic.Uint64
	suppressed atomic.Uint64
	unanswered atomic.Uint64
	_          cacheLine
}

// tally counts one batch, without atomics.
type tally struct {
	total      Volume
	drops      [reasonCount]uint64
	dropped    bool // any of drops is not zero
	answered   uint64
	suppressed uint64
	unanswered uint64

	// A run of packets of the same peer; most batches are one.
	peer *traffic
	run  Volume
}

// carried counts packets that went to or came from a peer.
func (t *tally) carried(peer *traffic, packets, bytes int) {
	if peer != t.peer {
		t.endRun()
		t.peer = peer
	}
	t.run.Packets += uint64(packets)
	t.run.Bytes += uint64(bytes)
}

func (t *tally) endRun() {
	if t.peer == nil {
		return
	}
	t.peer.add(t.run)
	t.total.Packets += t.run.Packets
	t.total.Bytes += t.run.Bytes
	t.peer, t.run = nil, Volume{}
}

// drop counts a packet that was dropped.
func (t *tally) drop(r Reason) { t.dropMany(r, 1) }

// dropMany counts n packets that were dropped for the same reason.
func (t *tally) dropMany(r Reason, n int) {
	t.drops[r] += uint64(n)
	t.dropped = true
}

// commit adds the batch to the counters and begins the next. It returns how
// much work the batch was.
func (t *tally) commit(c *counters) (w work) {
	t.endRun()
	c.traffic.add(t.total)
	w.all = int(t.total.Packets)
	if t.dropped {
		for r, n := range t.drops {
			if n == 0 {
				continue
			}
			c.drops[r].Add(n)
			w.all += int(n)
			if Reason(r).refusal() {
				w.refused += int(n)
			}
		}
		c.answered.Add(t.answered)
		c.suppressed.Add(t.suppressed)
		c.unanswered.Add(t.unanswered)
	}
	*t = tally{}
	return w
}

// addTo adds the counters to one direction of a sum.
func (c *counters) addTo(d *Direction) {
	v := c.traffic.volume()
	d.Packets += v.Packets
	d.Bytes += v.Bytes
	for i := range d.Drops {
		d.Drops[i].Packets += c.drops[d.Drops[i].Reason].Load()
	}
}

// newDirection lists reasons with no drops.
func newDirection(reasons []Reason) Direction {
	d := Direction{Drops: make([]Drop, len(reasons))}
	for i, r := range reasons {
		d.Drops[i].Reason = r
	}
	return d
}
