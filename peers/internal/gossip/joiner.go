// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"flanneld/peers/internal/gossip/wire"
)

// Timing of the join loop. The loop never ends: memberlist itself forgets the
// dead, and a longer cut would never heal. In a cut network every node runs the
// loop. So each tries rarely enough that a round of all nodes together makes
// about triesPerRound calls.
const (
	joinFirst      = 500 * time.Millisecond // after the first round; doubled up to joinAlone
	joinAlone      = 3 * time.Second        // while no other node is up
	joinAgain      = 3 * time.Second        // while some are
	triesPerRound  = 16
	joinAtOnce     = 8           // addresses tried at a time
	rememberedMost = 3           // endpoints of lost nodes tried in a round
	seedAgain      = time.Minute // before a seed that answered, and is no member by that address, is asked again
)

// Joiner brings this node together with others: at the start through its seeds,
// later with nodes it has lost.
type Joiner struct {
	gossip   atomic.Pointer[Agent] // the member that joins; another one after a move
	log      *slog.Logger
	resolver Resolver
	lost     atomic.Pointer[[]netip.AddrPort] // gossip endpoints of nodes to look for
	joined   atomic.Bool                      // another node's state has come in
	status   atomic.Pointer[string]           // why no seed has answered; nil: one has, or there is none
	tries    atomic.Uint64
	again    chan struct{} // one token: do not wait for the next round
	founder  *founder      // nil: this node does not found

	mu    sync.Mutex
	seeds []*seedState
}

// seedState is how a seed, or a source of seeds, has been doing. While a round
// runs, it belongs to the round.
type seedState struct {
	Seed
	source   *finder   // nil: it is the one seed
	joinedAt time.Time // when it last answered
	failing  bool
	reason   string
	warnAt   time.Time // when the failure is worth another line
	pause    time.Duration
}

// String names the seed, or the source.
func (s *seedState) String() string {
	if s.source != nil {
		return s.source.String()
	}
	return s.Seed.String()
}

// NewJoiner makes a joiner for an agent. It does nothing before [Joiner.Run],
// [Joiner.Look] or [Joiner.Add].
func NewJoiner(g *Agent, seeds []Seed, sources []Source, r Resolver, log *slog.Logger) *Joiner {
	j := &Joiner{log: log, resolver: r, again: make(chan struct{}, 1)}
	j.gossip.Store(g)
	j.lost.Store(&[]netip.AddrPort{})
	for _, s := range seeds {
		j.seeds = append(j.seeds, &seedState{Seed: s})
	}
	for _, s := range sources {
		j.seeds = append(j.seeds, &seedState{source: &finder{Source: s}})
	}
	return j
}

// Run joins until ctx ends. Dials under way end with the transport.
func (j *Joiner) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	alone := joinFirst
	for {
		select {
		case <-timer.C:
		case <-j.again:
		case <-ctx.Done():
			return
		}
		j.round(ctx)
		j.mayFound(ctx)
		pause := joinAgain
		if j.gossip.Load().members.size() == 0 || !j.joined.Load() {
			pause = alone
			alone = min(2*alone, joinAlone)
		} else {
			alone = joinFirst
		}
		timer.Reset(jitter(pause))
	}
}

// Joined notes that another node's state has come in.
func (j *Joiner) Joined() { j.joined.Store(true) }

// HasJoined reports whether another node's state has come in since the start,
// or since the last move.
func (j *Joiner) HasJoined() bool { return j.joined.Load() }

// SetLost sets where to look for nodes that are not up. The slice is the
// joiner's from then on.
func (j *Joiner) SetLost(lost []netip.AddrPort) { j.lost.Store(&lost) }

// Alone reports whether there is no other node to look for: no seed, and none
// that was lost.
func (j *Joiner) Alone() bool { return len(j.list()) == 0 && len(*j.lost.Load()) == 0 }

// Hurry begins the next round now.
func (j *Joiner) Hurry() { notify(j.again) }

// Status says in one line why no seed can be joined; "" where one has answered,
// or where there is none.
func (j *Joiner) Status() string {
	if text := j.status.Load(); text != nil {
		return *text
	}
	return ""
}

// Move goes on with another agent, which no other node knows yet. It looks for
// the nodes that were up, by their endpoints.
func (j *Joiner) Move(g *Agent, up []netip.AddrPort) {
	lost := append(up, *j.lost.Load()...)
	j.lost.Store(&lost)
	j.joined.Store(false)
	j.gossip.Store(g)
	notify(j.again)
}

// jitter spreads d by half its length either way.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }

// round tries every seed that is not known to be a live member, and a few nodes
// that were lost.
func (j *Joiner) round(ctx context.Context) {
	r := j.gossip.Load().members
	found := r.takeFound(rememberedMost)
	up := r.size()
	if len(found) == 0 && up > triesPerRound && rand.IntN(up) >= triesPerRound {
		return // others try
	}
	live := j.live()
	limit := make(chan struct{}, joinAtOnce)
	var tries sync.WaitGroup
	try := func(f func()) {
		limit <- struct{}{}
		tries.Go(func() { defer func() { <-limit }(); f() })
	}
	for _, s := range j.list() {
		if s.source != nil {
			try(func() { j.trySource(ctx, s, len(live) > 0) })
			continue
		}
		try(func() { j.trySeed(ctx, s, live) })
	}
	for _, at := range j.someLost(live, found) {
		try(func() { j.tryLost(at) })
	}
	tries.Wait()
	j.summarize()
}

// live returns the gossip endpoints of members that need no call. There is none
// before another node's state has come in: gossip may have named a member
// already, or a founder may have answered before it had anything to say.
func (j *Joiner) live() map[netip.AddrPort]bool {
	if !j.joined.Load() {
		return nil
	}
	return j.gossip.Load().members.endpoints()
}

func (j *Joiner) list() []*seedState {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]*seedState(nil), j.seeds...)
}

// named returns the seeds that were given by name or address.
func (j *Joiner) named() (seeds []Seed) {
	for _, s := range j.list() {
		if s.source == nil {
			seeds = append(seeds, s.Seed)
		}
	}
	return seeds
}

// someLost picks a few endpoints of nodes that are not up: first the ones found
// to be there, then others at random.
func (j *Joiner) someLost(live map[netip.AddrPort]bool, found []netip.AddrPort) []netip.AddrPort {
	some := slices.Clone(found)
	lost, self := *j.lost.Load(), j.gossip.Load().endpoint
	for _, i := range rand.Perm(len(lost)) {
		if at := lost[i]; !live[at] && at != self && len(some) < rememberedMost && !slices.Contains(some, at) {
			some = append(some, at)
		}
	}
	return some
}

// tryLost calls a node that is not up. It logs where another network answers at
// its address: the node was reset, or founded a network of its own.
func (j *Joiner) tryLost(at netip.AddrPort) {
	err := j.join(at)
	if errors.Is(err, errOtherNetwork) && j.gossip.Load().notices.due("lost "+at.String(), time.Now()) {
		j.log.Warn("another network answers at the address of a node of this one; if that node was reset, reset this host as well",
			"at", at, "reason", err)
	}
}

// trySeed calls a seed. It passes over a live member, and a seed that is a
// member by another address and answered not long ago.
func (j *Joiner) trySeed(ctx context.Context, s *seedState, live map[netip.AddrPort]bool) {
	if len(live) > 0 && !s.joinedAt.IsZero() && time.Since(s.joinedAt) < seedAgain {
		return
	}
	endpoints, err := s.resolve(ctx, j.resolver)
	for _, at := range endpoints {
		if live[at] {
			j.answered(s)
			return
		}
	}
	if err == nil {
		err = j.joinAny(endpoints)
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		j.failed(s, err)
		return
	}
	j.answered(s)
}

// joinSeed resolves a seed and tries its endpoints.
func (j *Joiner) joinSeed(ctx context.Context, s Seed) error {
	endpoints, err := s.resolve(ctx, j.resolver)
	if err != nil {
		return err
	}
	return j.joinAny(endpoints)
}

// joinAny tries the endpoints of one seed in turn. The error is that of the
// last one.
func (j *Joiner) joinAny(endpoints []netip.AddrPort) (err error) {
	for _, at := range endpoints {
		if err = j.join(at); err == nil {
			return nil
		}
	}
	return err
}

// join exchanges state with the node at one address. It returns nil only if
// that is another node, of our network.
func (j *Joiner) join(at netip.AddrPort) error {
	g := j.gossip.Load()
	if at == g.endpoint {
		return errSelf
	}
	name := fmt.Sprintf("join-%d", j.tries.Add(1))
	g.transport.watch(name)
	_, err := g.list.Join([]string{name + "/" + at.String()})
	try := g.transport.unwatch(name)
	if err == nil && g.transport.isOwnStream(try.local) {
		return errSelf
	}
	if err != nil && try.err == nil && isHangup(try.said) && g.transport.speaksOld(at) {
		try.said = wire.ErrOldFormat
	}
	return explainJoin(at, err, try)
}

// isHangup reports whether the other side has ended a stream without a message.
func isHangup(said error) bool {
	return said == nil || errors.Is(said, io.EOF) || errors.Is(said, syscall.ECONNRESET) || errors.Is(said, syscall.EPIPE)
}

// Look exchanges state with the seeds, with a few known nodes and with others
// that are named. It returns when the first answers, or when all have failed.
// It waits lookFor while none has taken the connection, and lookAnswer at most.
// What is under way then ends by itself, at the latest with the transport.
func (j *Joiner) Look(ctx context.Context, also ...netip.AddrPort) {
	ctx, cancel := context.WithTimeout(ctx, lookAnswer)
	defer cancel()
	seeds, nodes := j.named(), append(also, j.someLost(nil, nil)...)
	results := make(chan error, len(seeds)+len(nodes))
	for _, s := range seeds {
		go func() {
			results <- j.joinSeed(ctx, s)
		}()
	}
	for _, at := range nodes {
		go func() { results <- j.join(at) }()
	}
	late := time.NewTicker(lookFor)
	defer late.Stop()
	for waiting := cap(results); waiting > 0; {
		select {
		case err := <-results:
			if err == nil {
				return
			}
			waiting--
		case <-late.C:
			if !j.gossip.Load().transport.connected() {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// answered notes that a seed has answered.
func (j *Joiner) answered(s *seedState) {
	if s.failing {
		j.log.Info("seed answers", "seed", s.String())
	}
	s.failing, s.reason, s.pause = false, "", 0
	s.joinedAt = time.Now()
}

// A seed that keeps failing is logged at once, and again after pauses that
// double from warnFirst to warnMost, whatever the reason.
const (
	warnFirst = 15 * time.Second
	warnMost  = time.Hour
)

// failed notes the failure of a seed, and logs it when that is due.
func (j *Joiner) failed(s *seedState, err error) {
	now, reason := time.Now(), err.Error()
	due := !s.failing || !now.Before(s.warnAt)
	s.failing, s.reason = true, reason
	if !due {
		return
	}
	s.pause = min(max(2*s.pause, warnFirst), warnMost)
	s.warnAt = now.Add(s.pause)
	j.log.Warn("seed cannot be joined; trying again", "seed", s.String(), "reason", reason)
}

// summarize sets the line that says why this node has not been able to join.
func (j *Joiner) summarize() {
	failing, all := j.failing()
	if len(failing) == 0 || !all {
		j.status.Store(nil)
		return
	}
	if j.founder != nil && j.founder.reason != "" {
		failing = append([]string{j.founder.reason}, failing...)
	}
	if len(failing) > 3 {
		failing = append(failing[:3], fmt.Sprintf("and %d more", len(failing)-3))
	}
	text := strings.Join(failing, "; ")
	j.status.Store(&text)
}

// failing lists the seeds and sources that do not answer, each with the reason,
// and reports whether there are no others.
func (j *Joiner) failing() (reasons []string, all bool) {
	seeds := j.list()
	for _, s := range seeds {
		if s.failing {
			reasons = append(reasons, s.String()+": "+s.reason)
		}
	}
	return reasons, len(reasons) == len(seeds)
}

// Add takes more seeds and tries each once, now. It returns the ones that
// answered and, for each other one, why not. ctx ends the wait; the seeds stay.
func (j *Joiner) Add(ctx context.Context, seeds []Seed) (joined []string, failures []error) {
	j.remember(seeds)
	for _, s := range seeds {
		if err := j.joinSeed(ctx, s); err != nil {
			failures = append(failures, fmt.Errorf("join %s: %w", s, err))
			continue
		}
		joined = append(joined, s.String())
	}
	return joined, failures
}

// remember adds seeds to the list, each once.
func (j *Joiner) remember(seeds []Seed) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range seeds {
		known := false
		for _, old := range j.seeds {
			known = known || old.source == nil && old.Seed == s
		}
		if !known {
			j.seeds = append(j.seeds, &seedState{Seed: s})
		}
	}
}
