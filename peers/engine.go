// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/gossip"
	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
	"flanneld/peers/internal/statedir"
)

// Rhythm of the core's goroutine.
const (
	tickEvery    = gossip.TickEvery
	publishEvery = time.Second           // a view without news: round trips, durations
	publishGap   = 20 * time.Millisecond // between two views with news
	encodeGap    = 100 * time.Millisecond
	askInUse     = 5 * time.Second // whether containers use a lost lease
)

// engine owns the core: one goroutine, [engine.run], calls it and carries out
// what it decides.
type engine struct {
	node   *Node
	cfg    *Config
	log    *slog.Logger
	core   *core.Core
	gossip *gossip.Agent
	store  *statedir.Store
	joiner *gossip.Joiner
	origin time.Time // the core's time zero

	asleep        func() time.Duration // see [asleep]
	asleepAtBegin time.Duration

	commands   chan command
	duplicates chan gossip.Duplicate
	elected    <-chan struct{} // a token: this node is to found the network; nil: it never is
	lifetime   context.Context // of the goroutines beside the engine
	beside     sync.WaitGroup
	stopBeside context.CancelFunc // ends the goroutines of the present member

	missing    []missing // lease holders that are not up
	lookedAt   time.Time // when some were last asked
	approved   bool
	tableNews  bool      // the table is to be written and encoded
	encodedAt  time.Time // when it last was
	news       bool      // the view is to be published
	published  time.Time
	inUseAt    time.Time // when to ask again
	firstState time.Time // when another node's state first came in; zero: not yet
	former     *former   // nil: there is no former start to look for
	dropped    uint64    // messages and states that the core refused, and what earlier members did not take in
	ending     error     // set by a command, or by an election, that ends the engine
}

// command is a request of an exported method, run by the core's goroutine.
type command struct {
	run  func() error
	done chan error // holds one
}

// errLeft ends the engine after Leave.
var errLeft = errors.New("left")

// now is the core's time: a claim that a suspended host was in the middle of is
// old when the host wakes up.
func (e *engine) now() core.Time { return time.Since(e.origin) + e.asleep() - e.asleepAtBegin }

// run feeds the core until ctx ends (nil), the node has left (errLeft) or
// something is fatal.
func (e *engine) run(ctx context.Context) error {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	gap := time.NewTimer(publishGap)
	defer gap.Stop()
	for {
		if err := e.carryOut(); err != nil {
			return err
		}
		if e.news {
			gap.Reset(publishGap)
		}
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			e.tick()
		case <-gap.C: // carryOut publishes what was put off
		case b := <-e.gossip.Messages():
			e.receive(b)
		case s := <-e.gossip.States():
			e.gossip.TakeState(s)
			err = e.merge(s)
		case <-e.gossip.MembersChanged():
			e.followMembers()
		case <-e.store.Saved():
			e.core.Saved(e.now(), e.store.Newest(), nil)
		case s := <-e.duplicates:
			err = e.meetDuplicate(s)
		case <-e.elected:
			err = e.found()
		case c := <-e.commands:
			c.done <- c.run()
			err = e.ending
		}
		if err != nil {
			return err
		}
	}
}

// tick lets time pass, and does what was postponed.
func (e *engine) tick() {
	e.core.Tick(e.now())
	e.followMembers() // suspicions wear off, doubts end
	e.askInUse()
	e.settle()
	e.encode()
	if time.Since(e.published) >= publishEvery {
		e.publish()
	}
}

// receive hands the core a message. It drops and counts what is malformed or
// from another network.
func (e *engine) receive(b []byte) {
	msg, err := e.gossip.Open(b)
	if err == nil {
		err = e.core.Receive(e.now(), msg)
	}
	if err != nil && !errors.Is(err, core.ErrNoNetwork) { // too early is not wrong
		e.dropped++
		e.log.Debug("gossip: message dropped", "err", err)
	}
}

// merge hands the core another node's state.
func (e *engine) merge(s wire.State) error {
	if len(s.State) == 0 {
		return nil // the other node is in no network
	}
	if !s.Dialed && !e.core.Network().Prefix.IsValid() {
		return nil // the seeds decide which network this node joins
	}
	switch err := e.core.Merge(e.now(), s.From, s.State); {
	case errors.Is(err, core.ErrNetworkParameters):
		return mismatch(err)
	case errors.Is(err, record.ErrOtherNetwork), errors.Is(err, record.ErrMalformed):
		e.dropped++
		e.log.Debug("gossip: state dropped", "from", s.From.Short(), "err", err)
		return nil
	case err != nil: // single records; the rest was taken
		e.log.Debug("gossip: records dropped", "from", s.From.Short(), "err", err)
	}
	if !s.Dialed && !e.gossip.IsHolder(s.From) {
		return nil // any program can send a table with nothing in it
	}
	e.core.Joined(e.now())
	e.joiner.Joined()
	if e.firstState.IsZero() {
		e.firstState = time.Now()
		if e.approved {
			e.core.Tick(e.now()) // nothing to wait for
		}
	}
	return nil
}

func mismatch(err error) error {
	return failure(ErrNetworkMismatch, "%v", err)
}

// followMembers tells the core which nodes are up, are gone, or do not answer.
func (e *engine) followMembers() {
	now := time.Now()
	e.gossip.Tick(now, e.core.HasLeft)
	e.lookForMissing(now)
	for id, l := range e.gossip.News(now) {
		if !l.Up {
			e.core.MemberDown(e.now(), id)
			continue
		}
		e.core.MemberUp(e.now(), id)
		if m, ok := e.gossip.Member(id); ok {
			e.core.MemberAt(id, m.Endpoint.Addr())
		}
		e.core.MemberSuspect(e.now(), id, l.Suspect)
	}
}

// carryOut does what the core has decided since the last call.
func (e *engine) carryOut() error {
	if err := e.approve(); err != nil {
		return err
	}
	eff := e.core.Effects()
	e.logLines(eff.Log)
	if eff.Save != nil {
		e.store.SaveLease(eff.Save.Token, eff.Save.Durable)
	}
	e.announce(eff)
	if eff.TableChanged {
		e.tableNews = true
	}
	if e.tableNews && time.Since(e.encodedAt) >= encodeGap {
		e.encode()
	}
	if eff.Changed || eff.Fatal != nil {
		e.news = true
	}
	if e.news && (time.Since(e.published) >= publishGap || eff.Fatal != nil) {
		e.publish()
	}
	return fatal(eff.Fatal)
}

// logLines logs what the core reports.
func (e *engine) logLines(lines []core.LogLine) {
	for _, l := range lines {
		e.log.Log(context.Background(), l.Level, l.Text, l.Args...)
	}
}

// announce sends what the core wants sent, and updates the member.
func (e *engine) announce(eff core.Effects) {
	for _, s := range eff.Sends {
		e.gossip.Send(s.To, s.At, s.Msg)
	}
	for _, b := range eff.Broadcasts {
		e.gossip.Broadcast(b.Key, b.Msg)
	}
	e.updateMeta()
}

// updateMeta puts the member into the core's network, once there is one.
func (e *engine) updateMeta() {
	if !e.gossip.Network().IsZero() || !e.approved {
		return
	}
	n := e.core.Network()
	e.gossip.Enter(n.ID(), n.Prefix)
	e.encode()
}

// settle ends the search for duplicates, and ends this node's time as a
// newcomer.
func (e *engine) settle() {
	been := !e.firstState.IsZero() && time.Since(e.firstState) >= gossip.SettleTime
	seeks := e.seeksFormer()
	e.gossip.Settle(been || !seeks && e.joiner.Alone())
}

// approve lets the program check the network against this host, once, before
// the network is used.
func (e *engine) approve() error {
	n := e.core.Network()
	if e.approved || !n.Prefix.IsValid() {
		return nil
	}
	if check := e.cfg.CheckNetwork; check != nil {
		if err := check(n.Prefix, e.core.KeptLease()); err != nil {
			return err
		}
	}
	e.approved = true
	e.core.Approve(e.now())
	e.core.Tick(e.now()) // nothing to wait for
	return nil
}

// encode refreshes the state that exchanges carry, and queues the table for the
// disk.
func (e *engine) encode() {
	if !e.tableNews {
		return
	}
	e.tableNews, e.encodedAt = false, time.Now()
	state := e.core.State()
	e.gossip.SetState(state, e.core.Brief())
	if state != nil {
		e.store.SaveTable(state)
	}
}

// askInUse takes a new lease after one was lost, if that is wanted, as soon as
// no container uses the old one.
func (e *engine) askInUse() {
	if !e.core.Lost() || e.cfg.OnConflict != Release || time.Now().Before(e.inUseAt) {
		return
	}
	e.inUseAt = time.Now().Add(askInUse)
	if e.cfg.InUse != nil && e.cfg.InUse() {
		return
	}
	e.log.Warn("no container uses the lost lease: taking a new one")
	e.core.Release(e.now())
}

// fatal turns a fatal decision of the core into an error of this package.
func fatal(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, core.ErrSubnetHeld):
		return failure(ErrSubnetHeld, "%v", err)
	case errors.Is(err, core.ErrNetworkParameters):
		return mismatch(err)
	}
	return failure(ErrLeaseLost, "%v", err)
}
