// SPDX-License-Identifier: Apache-2.0

package probe

import "time"

// Rhythm of the probes to one target. At 1,000 nodes all probes together stay
// below 10 kB/s, in both directions and with what others probe here, however
// many peers have traffic. A small probe and its answer are 128 bytes on the
// underlay, a large one and its answer 3,000.
const (
	answerTime  = time.Second // a probe that takes longer is lost
	misses      = 3           // in a row end the belief in a path
	trialMisses = 2           // in a row end a Trial
	grace       = 10 * time.Second
	lookTime    = time.Second // between looks at the traffic
	// lookEach is the least time between two looks at what is due, for each
	// target that is looked at.
	lookEach = 10 * time.Microsecond
	// forgetTime is how long a late answer still counts.
	forgetTime = 5 * time.Second

	idleSmall, idleSmallEach = 10 * time.Second, 50 * time.Millisecond
	idleLarge, idleLargeEach = 30 * time.Second, 3 * time.Second
	busySmall, busySmallEach = time.Second, 10 * time.Millisecond
	busyLarge, busyLargeEach = 5 * time.Second, 50 * time.Millisecond
	// In a large network, the probes under traffic have to leave room for those
	// of all others. These are for each busy target and each target.
	busySmallBoth = 220 * time.Microsecond
	busyLargeBoth = 2600 * time.Microsecond
	// givesWay is by how many percent longer the pauses of idle targets are
	// while others are busy. A target that becomes busy is probed at once.
	givesWay                 = 200
	newSmall, newSmallEach   = 300 * time.Millisecond, 5 * time.Millisecond
	lostSmall, lostSmallEach = 2 * time.Second, 50 * time.Millisecond

	// A chosen path has large probes and probes of checksums. Under traffic,
	// three lost ones are noticed within 5 s.
	chosenLargeEach = 6 * time.Second
	promptLarge     = 1200 * time.Millisecond
	largeAgain      = 500 * time.Millisecond // after a large one was lost
	trialSmall      = time.Second

	reserveSmall, reserveSmallEach = time.Minute, 200 * time.Millisecond
	reserveLarge, reserveLargeEach = 5 * time.Minute, 12 * time.Second

	// busyRate is how many packets a second in one direction are traffic. Fewer
	// may be the probes of the peer, or this host's answers to them.
	busyRate = 4
	// chosenBusyRate is so for a chosen path. There, up to 8 packets a second
	// are probes and answers.
	chosenBusyRate = 10
	// arrivingTime is how long ago a peer's last packet may be for its packets
	// to count as arriving.
	arrivingTime = 10 * time.Second
)

// pace is how many targets share the rhythm.
type pace struct{ all, busy int }

// atLeast is the least time between probes, more where many share the budget.
func atLeast(least, each time.Duration, sharing int) time.Duration {
	return max(least, time.Duration(sharing)*each)
}

// busySmall and busyLarge are the least time between probes under traffic.
func (c pace) busySmall() time.Duration {
	return atLeast(busySmall, max(busySmallEach, time.Duration(c.all)*busySmallBoth), c.busy)
}

func (c pace) busyLarge(least time.Duration) time.Duration {
	return atLeast(least, max(busyLargeEach, time.Duration(c.all)*busyLargeBoth), c.busy)
}

// idle is the share of an idle target.
func (c pace) idle(each time.Duration) time.Duration {
	if c.busy > 0 {
		each += each * givesWay / 100
	}
	return each
}

// small is the time to the next small probe.
func (c pace) small(p *path) time.Duration {
	switch {
	case p.State == Unproven && p.Role == Trial:
		return atLeast(trialSmall, newSmallEach, c.all)
	case p.State == Unproven:
		return atLeast(newSmall, newSmallEach, c.all)
	case p.Role == Reserve && p.smallMisses == 0:
		return atLeast(reserveSmall, reserveSmallEach, c.all)
	case p.State == Failed:
		return atLeast(lostSmall, lostSmallEach, c.all)
	case p.smallMisses > 0, p.echoMisses > 0 && p.echoMisses < misses:
		// Also where the peer forwards: does it only do that?
		return atLeast(busySmall, busySmallEach, c.all)
	case p.busy:
		return c.busySmall()
	}
	return atLeast(idleSmall, c.idle(idleSmallEach), c.all)
}

// large is the time to the next large probe, and to the next of checksums.
func (c pace) large(p *path) time.Duration {
	switch {
	case p.Role == Reserve:
		return atLeast(reserveLarge, reserveLargeEach, c.all)
	case p.State == SmallOnly:
		return atLeast(busyLarge, idleLargeEach, c.all)
	case p.busy && p.Role != Only:
		return c.busyLarge(promptLarge)
	case p.busy:
		return c.busyLarge(busyLarge)
	case p.Role != Only:
		return atLeast(idleLarge, c.idle(chosenLargeEach), c.all)
	}
	return atLeast(idleLarge, c.idle(idleLargeEach), c.all)
}
