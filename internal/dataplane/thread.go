// SPDX-License-Identifier: Apache-2.0

package dataplane

import "time"

// Thread is the operating system thread of a lane.
type Thread struct {
	Express bool
	CPU     time.Duration // used so far
	// Policy is how the kernel schedules it (sched(7)): "other", "batch" or
	// "rr"; "" where it is not known.
	Policy   string
	Priority int // of policy "rr", from 1 on
	Nice     int // of the other policies
}

// Threads returns the lanes' threads, in the order of the lanes, as the kernel
// has them at this moment. It is empty while the plane is not forwarding.
func (p *Plane) Threads() (all []Thread) {
	for i := range p.threads {
		tid := int(p.threads[i].Load())
		if tid == 0 {
			continue
		}
		t := threadOf(tid)
		t.Express = p.sockets[i].Express()
		all = append(all, t)
	}
	return all
}

// onThread is called on a lane's thread before it forwards.
func (p *Plane) onThread(lane int) {
	raisePriority(p.cfg.Log)
	p.threads[lane].Store(int32(threadID()))
}
