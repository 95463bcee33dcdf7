// SPDX-License-Identifier: Apache-2.0

package probe

import "time"

// path is a target with what was found. It belongs to the prober's lock.
type path struct {
	Target
	Result
	since time.Time // it has been a target

	smallDue, largeDue       time.Time
	smallMisses, largeMisses int
	echoMisses               int       // small echo requests lost since the last that was answered
	echoes                   bool      // an echo request was answered
	answered                 time.Time // when the newest small probe that was answered was sent
	largeSize                int       // of the last large probe
	tally                    sumsTally

	busy            bool
	egress, ingress uint64 // at the last look
	looked          time.Time
	ingressMoved    time.Time // when packets were last seen to have come from the peer
	conversed       time.Time // when packets were last seen to go both ways
	doubted         time.Time // when that was last seen to have ended
}

// due is when the next probe is to be sent.
func (p *path) due() time.Time {
	next := p.smallDue
	if p.State == Works || p.State == SmallOnly {
		next = earlier(next, p.largeDue)
	}
	if p.sumsReady() {
		next = earlier(next, p.tally.due)
	}
	return next
}

func (p *path) lookDue(now time.Time) bool { return p.Traffic != nil && now.Sub(p.looked) >= lookTime }

// look finds out how much traffic there is. It reports whether the path is to
// be doubted.
func (p *path) look(now time.Time) (doubtful bool) {
	egress, ingress := p.Traffic()
	if !p.looked.IsZero() {
		seconds := now.Sub(p.looked).Seconds()
		rate, large := float64(busyRate), busyLarge
		if p.Role != Only {
			rate, large = chosenBusyRate, promptLarge
		}
		busy := float64(max(egress-p.egress, ingress-p.ingress))/seconds >= rate
		if busy && !p.busy { // do not wait for the end of a long pause
			p.smallDue = earlier(p.smallDue, now.Add(busySmall))
			p.largeDue = earlier(p.largeDue, now.Add(large))
			p.tally.due = earlier(p.tally.due, now.Add(large))
		}
		p.busy = busy
		doubtful = p.converse(busy, egress-p.egress, ingress-p.ingress, now)
		if ingress != p.ingress {
			p.ingressMoved = now
		}
	}
	p.egress, p.ingress, p.looked = egress, ingress, now
	p.Arriving = !p.ingressMoved.IsZero() && now.Sub(p.ingressMoved) < arrivingTime
	return doubtful
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// take counts an answer.
func (p *path) take(f *flight, r reply, now time.Time) {
	p.RTT = now.Sub(f.sent)
	p.ingressMoved = now
	if f.tcp {
		p.takeSums(f)
		return
	}
	if f.lost {
		p.Lost--
	}
	p.Size = max(p.Size, f.size)
	if f.large {
		p.largeMisses, p.Full = 0, true
		p.settle(f, &p.largeDue)
		if p.State == SmallOnly {
			p.become(Works, now)
		}
		return
	}
	if f.sent.After(p.answered) {
		p.answered = f.sent
	}
	p.smallMisses = 0
	p.settle(f, &p.smallDue)
	if f.ttl {
		p.ForwardsOnly = p.echoMisses >= misses
	} else {
		p.echoMisses, p.echoes, p.ForwardsOnly = 0, true, false
	}
	if p.State == Unproven || p.State == Failed {
		p.become(Works, now)
		p.largeDue, p.largeMisses, p.Full, p.tally = now, 0, false, sumsTally{}
	}
}

// miss counts a probe that was not answered in time.
func (p *path) miss(f *flight, now time.Time) {
	f.lost = true
	if f.tcp { // no packet was lost, perhaps: filters drop such
		p.missSums(f, now)
		return
	}
	p.Lost++
	switch {
	case f.large:
		p.smallDue = now // are all packets lost, or the large ones?
		if p.smallMisses > 0 || p.echoMisses > 0 && !f.ttl || p.State != Works {
			return // then it says nothing about large packets
		}
		p.largeDue = now
		if p.largeMisses++; p.largeMisses >= misses {
			p.become(SmallOnly, now)
			p.Full = false
		}
	case f.ttl:
	default:
		p.echoMisses++
		if p.answered.Before(f.sent) {
			p.missSmall(now)
		}
	}
}

func (p *path) missSmall(now time.Time) {
	p.smallMisses++
	if p.State == Works || p.State == SmallOnly {
		p.smallDue = now
	}
	trial := p.State == Unproven && p.Role == Trial
	young := p.State == Unproven && !trial && now.Sub(p.since) < grace
	if (p.smallMisses >= misses || trial && p.smallMisses >= trialMisses) && !young && p.State != Failed {
		p.become(Failed, now)
	}
}

func (p *path) become(s State, now time.Time) { p.State, p.Since = s, now }
