// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"flanneld/internal/packet"
)

// Config says how a Prober works.
type Config struct {
	// Source is the overlay address of this node's device, where answers come.
	Source netip.Addr
	// Send sends a packet to an endpoint in the way that container traffic
	// takes. Where it is longer than the kernel knows the path to take, fits is
	// how long it may be, and nothing was sent. It does not wait.
	Send func(to netip.AddrPort, packet []byte) (fits int, err error)
	// Stamp, unless zero, has probes prove that packets pass a path that stamps
	// them.
	Stamp Stamp
	// Changed, unless nil, is called after the state of any path has changed,
	// from the goroutine of Run.
	Changed func()
}

// Prober sends probes and keeps their results. Make one with New.
type Prober struct {
	inbox
	cfg  Config
	poke chan struct{}

	mu       sync.Mutex
	paths    map[string]*path
	flights  map[uint16]*flight
	sequence uint16
	due      time.Time // nothing is before
	changed  bool
	news     map[string]bool // targets with a changed state; see News
	stats    Stats
	doubts   *rate.Limiter
}

// flight is a probe on its way.
type flight struct {
	path       *path
	sent       time.Time
	size       int
	large, ttl bool
	tcp        bool
	offload    Offload
	settled    time.Time // see schedule
	lost       bool      // given up; a late answer still counts
}

// New makes a prober without targets.
func New(cfg Config) *Prober {
	return &Prober{
		inbox: stamped(waiting, cfg.Stamp), cfg: cfg, poke: make(chan struct{}, 1),
		paths: map[string]*path{}, flights: map[uint16]*flight{}, news: map[string]bool{}, sequence: uint16(rand.Uint32()),
		doubts: rate.NewLimiter(rate.Every(doubtsEach), doubtsAtOnce),
	}
}

// Aim replaces all targets. What was found out about one stays while it is a
// target with the same ID at the same endpoint and lease, by the same way.
func (p *Prober) Aim(targets []Target) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.paths
	p.paths = make(map[string]*path, len(targets))
	for i, t := range targets {
		p.put(t, before[t.ID], now, time.Duration(i)*newSmallEach/4) // not all at once
	}
	for id, old := range before {
		if p.paths[id] != old {
			p.changed = true
		}
	}
	for sequence, f := range p.flights {
		if p.paths[f.path.ID] != f.path {
			delete(p.flights, sequence)
		}
	}
	p.wake()
}

// put makes a target. old is what it was before, or nil. The first probe may
// wait a little.
func (p *Prober) put(t Target, old *path, now time.Time, wait time.Duration) {
	if old != nil && old.Endpoint == t.Endpoint && old.Lease == t.Lease && old.Way == t.Way {
		if old.Role == Reserve && t.Role != Reserve { // it is needed now
			old.smallDue = earlier(old.smallDue, now.Add(wait))
			old.largeDue = old.smallDue
		}
		old.Target = t
		p.paths[t.ID] = old
		return
	}
	p.paths[t.ID] = &path{Target: t, Result: Result{Since: now}, since: now, smallDue: now.Add(wait)}
	p.changed = true
}

// Put is Aim for one target. The others stay.
func (p *Prober) Put(t Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.paths[t.ID]
	p.put(t, old, time.Now(), 0)
	if old != nil && p.paths[t.ID] != old {
		p.forget(old)
	}
	p.wake()
}

// Drop takes one target away, if it is one.
func (p *Prober) Drop(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.paths[id]; old != nil {
		delete(p.paths, id)
		p.forget(old)
		p.changed = true
	}
}

// forget gives up the probes to what is no target any more.
func (p *Prober) forget(old *path) {
	for sequence, f := range p.flights {
		if f.path == old {
			delete(p.flights, sequence)
		}
	}
}

// News returns what was found about each target that has changed its state
// since the last call, by target ID.
func (p *Prober) News() map[string]Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	news := make(map[string]Result, len(p.news))
	for id := range p.news {
		if t := p.paths[id]; t != nil {
			news[id] = t.Result
		}
	}
	clear(p.news)
	return news
}

// wake has Run look at once.
func (p *Prober) wake() {
	p.due = time.Time{}
	select {
	case p.poke <- struct{}{}:
	default:
	}
}

// Result returns what was found about one target; not ok: it is none.
func (p *Prober) Result(id string) (r Result, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.paths[id]; t != nil {
		return t.Result, true
	}
	return r, false
}

// Run probes until ctx ends.
func (p *Prober) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-p.answers:
			p.take(a)
		case <-p.poke:
		case <-timer.C:
		}
		timer.Reset(p.step(time.Now()))
		p.tell()
	}
}

// tell calls Changed where there is news.
func (p *Prober) tell() {
	p.mu.Lock()
	news := p.changed
	p.changed = false
	p.mu.Unlock()
	if news && p.cfg.Changed != nil {
		p.cfg.Changed()
	}
}

// take finds the probe that an answer is to. An answer counts only if it comes
// from the peer that the probe went to.
func (p *Prober) take(a answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f, ok := p.flights[a.sequence]
	if !ok || f.tcp != a.tcp || f.ttl != (a.kind == packet.ICMPTimeExceeded) || a.kind == packet.ICMPUnreachable || !f.path.speaks(a.from) {
		return
	}
	delete(p.flights, a.sequence)
	if !f.tcp {
		p.stats.answered(a.at.Sub(f.sent))
	}
	p.watching(f.path, func() { f.path.take(f, a.reply, a.at) })
	p.due = earlier(p.due, f.path.due())
}

// watching notes whether what f does to a path is news.
func (p *Prober) watching(t *path, f func()) {
	type state struct {
		State
		arriving, forwards, full bool
		sums                     Sums
		refused                  string
	}
	of := func() state {
		s := state{State: t.State, arriving: t.State == Failed && t.Arriving, forwards: t.ForwardsOnly, full: t.Full, sums: t.Sums}
		if t.Refused != nil {
			s.refused = t.Refused.Error()
		}
		return s
	}
	before := of()
	f()
	if of() != before {
		p.changed, p.news[t.ID] = true, true
	}
}

// step does what is due and returns the time until the next is.
func (p *Prober) step(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Before(p.due) {
		return p.due.Sub(now)
	}
	for sequence, f := range p.flights {
		age := now.Sub(f.sent)
		if age >= answerTime && !f.lost {
			p.watching(f.path, func() { f.path.miss(f, now) })
		}
		if age >= forgetTime {
			delete(p.flights, sequence)
			if !f.tcp {
				p.stats.Lost++
			}
		}
	}
	c := pace{all: len(p.paths)}
	for _, t := range p.paths {
		if t.lookDue(now) {
			p.watching(t, func() {
				if t.look(now) && p.doubts.AllowN(now, 1) {
					t.doubt(now)
				}
			})
		}
		if t.busy {
			c.busy++
		}
	}
	next := now.Add(lookTime)
	for _, t := range p.paths {
		if !now.Before(t.due()) {
			p.watching(t, func() { p.probe(t, c, now) })
		}
		next = earlier(next, t.due())
	}
	for _, f := range p.flights {
		if !f.lost {
			next = earlier(next, f.sent.Add(answerTime))
		}
	}
	p.due = now.Add(max(next.Sub(now), time.Millisecond+time.Duration(len(p.paths))*lookEach))
	return p.due.Sub(now)
}

// probe sends what is due to a target.
func (p *Prober) probe(t *path, c pace, now time.Time) {
	if !now.Before(t.smallDue) {
		due, settled := t.schedule(c.small(t), now)
		t.smallDue = due
		p.send(t, request{destination: t.own(), ttl: plainTTL, size: p.token.small()}, now, settled)
		if t.echoMisses > 0 && t.behind().IsValid() {
			p.send(t, request{destination: t.behind(), ttl: 1, size: p.token.small()}, now, settled)
		}
	}
	if (t.State == Works || t.State == SmallOnly) && !now.Before(t.largeDue) {
		due, settled := t.schedule(c.large(t), now)
		t.largeDue = due
		if t.State == Works && t.largeMisses > 0 {
			t.largeDue = earlier(t.largeDue, now.Add(largeAgain))
		}
		r := request{destination: t.own(), ttl: plainTTL, size: t.Longest()}
		if t.ForwardsOnly || !t.echoes && t.echoMisses > 0 && t.behind().IsValid() {
			r.destination, r.ttl = t.behind(), 1
		}
		if r.size != t.largeSize {
			t.largeMisses = 0
		}
		t.largeSize, t.Tried = r.size, r.size
		if r.size > p.token.small() {
			p.send(t, r, now, settled)
		} else {
			t.Full = true
		}
	}
	p.probeSums(t, c, now)
}

// spread varies a time by a tenth, so that nodes which started together do not
// probe together for ever.
func spread(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}

// send sends one probe. One that is longer than the kernel knows the path to
// take is sent as long as fits. settled is as in schedule.
func (p *Prober) send(t *path, r request, now, settled time.Time) {
	for p.flights[p.sequence] != nil && len(p.flights) < 1<<16 {
		p.sequence++
	}
	r.source, r.sequence = p.cfg.Source, p.sequence
	fits, err := p.hand(t, r)
	if fits > p.token.small() && fits < r.size && !r.tcp {
		r.size = fits
		_, err = p.hand(t, r)
	}
	if r.tcp && err != nil { // this host cannot leave it to the device: that says nothing of the path
		t.Sums, t.tally = SumsUnclear, sumsTally{due: t.tally.due}
		return
	}
	if !r.tcp {
		t.Sent++
		p.stats.Sent++
	}
	if r.size == p.token.small() {
		t.Refused = err
	}
	p.flights[p.sequence] = &flight{
		path: t, sent: now, size: r.size, large: r.size > p.token.small() && !r.tcp, ttl: r.ttl == 1, tcp: r.tcp, offload: r.offload, settled: settled,
	}
	p.sequence++
}

// hand hands a probe to what sends it.
func (p *Prober) hand(t *path, r request) (fits int, err error) {
	if t.Send != nil {
		return t.Send(p.token.build(r), r.offload)
	}
	return p.cfg.Send(t.Endpoint, p.token.build(r))
}
