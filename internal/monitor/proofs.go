// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"flanneld/internal/plan"
	"flanneld/internal/probe"
	"flanneld/internal/proof"
)

// proofs has a prober for each path, and the book that says what they probe.
type proofs struct {
	cfg     *Config
	kernel  *Kernel // nil: only the user path is probed
	wire    Wire
	probers map[plan.Path]*probe.Prober
	// answers is all that probes, asked about a packet that came by a path.
	answers  func(packet []byte, by plan.Path) bool
	changed  func()        // after a result has changed
	poke     chan struct{} // the book's next time may be another one
	traffic  atomic.Pointer[traffic]
	arrivals arrivals

	mu       sync.Mutex // held over book and Aim, so that results fit
	book     *proof.Book
	news     map[plan.Path]bool     // probes of these paths are not in the book yet
	told     time.Time              // when it was told last
	unsaid   bool                   // changed is to be called
	said     time.Time              // when it was called last
	planned  map[string]*plan.Route // what may answer, by its ID
	withheld map[plan.Path]*withheld
}

func newProofs(cfg *Config, answers func([]byte, plan.Path) bool, changed func()) *proofs {
	s := &proofs{
		cfg: cfg, kernel: cfg.Kernel, answers: answers, changed: changed, probers: map[plan.Path]*probe.Prober{}, poke: make(chan struct{}, 1),
		book: proof.NewBook(rand.Float64), news: map[plan.Path]bool{}, withheld: map[plan.Path]*withheld{},
	}
	paths := []plan.Path{plan.PathUDP}
	if s.kernel != nil {
		paths = append(paths, s.kernel.paths()...)
		if s.wire = s.kernel.Wire; s.wire == nil {
			s.wire = &sockets{}
		}
	}
	for _, p := range paths {
		s.probers[p] = probe.New(probe.Config{Source: cfg.Plane.Lease().Addr(), Send: cfg.Plane.Send, Stamp: s.kernel.stamp(p), Changed: func() { s.notice(p) }})
	}
	return s
}

// run probes until ctx ends.
func (s *proofs) run(ctx context.Context) {
	var all sync.WaitGroup
	for _, p := range s.probers {
		all.Go(func() { p.Run(ctx) })
	}
	all.Go(func() { s.keep(ctx) })
	if s.kernel != nil {
		for _, p := range s.kernel.paths() {
			all.Go(func() { s.listen(ctx, p) })
		}
		if s.kernel.Traffic != nil {
			all.Go(func() { s.count(ctx) })
		}
	}
	all.Wait()
	if s.wire != nil {
		_ = s.wire.Close()
	}
}

// answer reports whether a packet answers a probe. It counts by whatever way it
// came, but for probes of the short-cut.
func (s *proofs) answer(packet []byte, by plan.Path) bool {
	for _, p := range s.probers {
		if answers(p, packet, by) {
			return true
		}
	}
	return false
}

// answerer takes answers; *probe.Prober and *probe.Ping are two.
type answerer interface {
	Answer(packet []byte) bool
	AnswerElsewhere(packet []byte) bool
}

func answers(a answerer, packet []byte, by plan.Path) bool {
	if by == plan.PathShortcut {
		return a.Answer(packet)
	}
	return a.AnswerElsewhere(packet)
}

// aim follows a change of the plan.
func (s *proofs) aim() {
	s.mu.Lock()
	routes := s.routes()
	changed := s.book.Update(time.Now(), s.peers(routes))
	s.aimAll(routes)
	s.mu.Unlock()
	s.wake()
	s.replan(changed)
}

// notice remembers that the probes of a path have found something.
func (s *proofs) notice(p plan.Path) {
	s.mu.Lock()
	s.news[p] = true
	s.mu.Unlock()
	s.wake()
}

func (s *proofs) wake() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// replan has the plan made anew where proofs have changed.
func (s *proofs) replan(changed proof.Changes) {
	if changed.Proofs && s.cfg.Replan != nil {
		s.cfg.Replan()
	}
}

// apart is the least time between two rounds, and apartEach is added for each
// peer: when a thousand peers answer at once, not each answer is a round.
const (
	apart     = 50 * time.Millisecond
	apartEach = 200 * time.Microsecond
	saying    = time.Second // least time between two calls of changed
)

// keep gives the book what it waits for, until ctx ends.
func (s *proofs) keep(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.poke:
		case <-timer.C:
		}
		timer.Reset(s.round(time.Now()))
	}
}

// round tells the book what is new, and returns how long it has nothing to do.
func (s *proofs) round(now time.Time) time.Duration {
	s.mu.Lock()
	apart := apart + time.Duration(s.book.Len())*apartEach
	if early := s.told.Add(apart).Sub(now); early > 0 {
		s.mu.Unlock()
		return early
	}
	s.told = now
	changed := s.book.Tick(now)
	s.unsaid = s.unsaid || len(s.news) > 0
	for p := range s.news {
		news := s.probers[p].News()
		s.withhold(p, news)
		changed.Add(s.book.Observe(now, p, news))
	}
	clear(s.news)
	if changed.Roles {
		s.aimMoved()
	}
	rest := time.Minute
	if next := s.book.Next(); !next.IsZero() {
		rest = min(max(next.Sub(now), apart), rest)
	}
	say := false
	switch early := s.said.Add(saying).Sub(now); {
	case s.unsaid && early > 0:
		rest = min(rest, early)
	case s.unsaid:
		say, s.unsaid, s.said = true, false, now
	}
	s.mu.Unlock()
	s.replan(changed)
	if say {
		s.changed()
	}
	return rest
}

// count reads the counters of traffic until ctx ends.
func (s *proofs) count(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		arrived, sent := s.kernel.Traffic()
		s.traffic.Store(&traffic{arrived, sent})
		s.arrivals.take(arrived)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// listen takes answers that come by a kernel path's device until ctx ends.
func (s *proofs) listen(ctx context.Context, p plan.Path) {
	const again = time.Second // after a failure, and between looks for another device
	trouble := ""
	tick := time.NewTicker(again)
	defer tick.Stop()
	for ctx.Err() == nil {
		device := s.kernel.device(p)
		if device != "" {
			err := s.receive(ctx, p, device)
			if text := fmt.Sprint(err); err != nil && text != trouble {
				trouble = text
				s.cfg.Log.Debug("answers to probes are not received", "path", p, "error", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// receive takes answers from one device as long as it is the path's.
func (s *proofs) receive(ctx context.Context, p plan.Path, device string) error {
	const look = 5 * time.Second
	own, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- s.wire.Receive(own, device, s.cfg.Plane.Lease().Addr(), func(packet []byte) { s.answers(packet, p) })
	}()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-tick.C:
			if s.kernel.device(p) != device {
				cancel()
			}
		}
	}
}

// proof is what the plan is to know of a path.
func (s *proofs) proof(id string, p plan.Path) plan.Proof {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book.Proof(id, p)
}

// result is what is known of a path now: also of one that is not probed now.
func (s *proofs) result(id string, p plan.Path) (r probe.Result, known bool) {
	if prober := s.probers[p]; prober != nil {
		if r, known = prober.Result(id); known {
			return r, true
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book.Result(id, p)
}
