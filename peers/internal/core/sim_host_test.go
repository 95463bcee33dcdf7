package core

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"flanneld/peers/internal/record"
)

// host is a machine: an identity, a disk, and, while it runs, a daemon.
type host struct {
	w        *world
	index    int
	identity record.Identity
	id       record.NodeID
	config   Config
	place    int // its address
	seeds    []*host
	disk     disk

	core     *Core // nil: no daemon
	boots    int   // grows when the daemon starts or stops: events of an earlier one are dropped
	started  time.Duration
	up       bool // its start number is durable, and gossip runs
	lastAt   int  // where the last start was
	approved bool
	retiring bool // about to leave
	leaving  bool
	paused   bool
	inbox    []func() // what came in the meantime
	swim     swim
	beats    uint64

	clone   bool // a copy of another host, which may stop as its twin
	away    bool // not to be started again by chance: left, or stopped as a twin
	amnesia bool // the next start knows that its vault was lost
	crashAt crashPoint
	fatal   error
	logs    []string

	seen  seen                                               // of its claim, by the checks
	known map[record.Slot]*record.Stored[record.LeaseRecord] // see keepLeases
	met   bool                                               // this start has had another node's state

	sent         int64 // bytes
	sentMessages int64
}

// boot starts the daemon on what the disk has.
func (h *host) boot() {
	w := h.w
	c := h.config
	c.Rand = rand.New(rand.NewPCG(w.rand.Uint64(), 2))
	c.Instance = w.rand.Uint64()
	c.Amnesia = c.Amnesia || h.amnesia
	h.amnesia = false
	h.lastAt = 0
	if last, err := Peek(h.disk.vault); err == nil && last.Gossip.IsValid() {
		h.lastAt = placeOf(last.Gossip)
	}
	made, err := New(c, h.disk.vault, h.disk.table)
	if err != nil {
		w.breaks("8", "%s: a file that a crash left cannot be read: %v", h.config.Name, err)
		return
	}
	made.Inside().WatchClaim(func(from, to Phase) { w.step(h, from, to) })
	h.boots++
	w.boots++
	w.tally[starts]++
	h.core, h.started, h.fatal, h.config.Instance = made, w.now, nil, c.Instance
	h.up, h.approved, h.leaving, h.met, h.away, h.paused, h.inbox = false, false, false, false, false, false, nil
	h.disk.busy, h.disk.waiting, h.disk.tabling, h.disk.token = false, nil, false, 0
	h.swim, h.known = newSwim(h), nil
	w.checks.disturb()
	w.checks.booted(h)
	w.trace.line(w, h, "starts at %d, number %d", h.place, made.StartNumber())
	h.do(func(now Time) { made.Start(now) })
	w.damage.booted(h)
}

// goUp is what follows once the start is on disk: look for a twin where the
// last start was, then gossip.
func (h *host) goUp() {
	if last := h.w.at(h.lastAt); h.lastAt != h.place && last != nil && last.id == h.id && h.connects(last) {
		h.stopAsTwin()
		return
	}
	h.up = true
	h.w.boots++
	h.swim.self.gen = h.w.boots
	h.w.trace.line(h.w, h, "is up")
	h.w.checks.resumed(h)
	h.beat(h.boots)
	h.lookForOthers()
}

// stop ends the daemon: by kill -9, or by a power failure, from which only comes
// back what was synced.
func (h *host) stop(power bool) {
	if h.core == nil {
		return
	}
	if power {
		h.w.tally[powerFailures]++
		h.disk.losePower(h.w.chance(0.5))
	} else {
		h.w.tally[kills]++
	}
	h.w.trace.line(h.w, h, "stops, power failure %v", power)
	h.end()
}

func (h *host) end() {
	h.w.checks.disturb()
	h.boots++
	h.core, h.up, h.retiring, h.paused, h.inbox = nil, false, false, false, nil
	for _, o := range h.w.hosts {
		if o != h && o.id == h.id && o.up {
			o.swim.outlive()
		}
	}
}

// crash is kill -9.
func (h *host) crash() { h.stop(false) }

// stopAsTwin ends a daemon that has found its identity alive elsewhere.
func (h *host) stopAsTwin() {
	h.w.tally[twinsStopped]++
	h.w.trace.line(h.w, h, "stops: there is a twin")
	h.away = true
	h.end()
}

// beat is the daemon's clock. While nothing is under way it may be slower than
// the daemon's, so that more schedules can be run.
func (h *host) beat(boot int) {
	gap := 100 * time.Millisecond
	if h.core.Inside().Claim().Phase == PhaseConfirmed && !h.w.fineTicks {
		gap = time.Second
	}
	h.w.after(gap, func() {
		if h.boots != boot {
			return
		}
		h.deliver(func() { // a timer that ran out during a pause fires at its end
			h.do(func(now Time) { h.core.Tick(now) })
			if h.boots == boot {
				h.swim.beat()
			}
			if h.boots == boot {
				h.beat(boot)
			}
		})
	})
}

// deliver hands something to the daemon: at once, or when its pause is over.
func (h *host) deliver(do func()) {
	if h.core == nil {
		return
	}
	if !h.paused {
		do()
		return
	}
	if len(h.inbox) < 4096 {
		h.inbox = append(h.inbox, do)
	}
}

// resume ends a pause: what has piled up is stale, and is handled all the same.
func (h *host) resume() {
	if !h.paused || h.core == nil || h.leaving {
		return
	}
	h.w.trace.line(h.w, h, "goes on, with %d things to do", len(h.inbox))
	h.paused = false
	pile := h.inbox
	h.inbox = nil
	h.w.tally[staleHandled] += int64(len(pile))
	for _, do := range pile {
		if h.core != nil {
			do()
		}
	}
}

// do makes an input and carries out its effects, as peers.engine does.
func (h *host) do(input func(now Time)) {
	if h.core == nil {
		return
	}
	now := h.w.now - h.started
	input(now)
	if !h.approved && h.core.Network().Prefix.IsValid() {
		h.approved = true
		h.core.Approve(now)
		h.core.Tick(now)
	}
	h.carryOut(h.core.Effects())
}

func (h *host) carryOut(e Effects) {
	for _, l := range e.Log {
		if h.w.t != nil || h.w.trace.on() {
			h.logs = append(h.logs, fmt.Sprint(l.Text, l.Args))
			h.w.trace.line(h.w, h, "log: %s %v", l.Text, l.Args)
		}
	}
	h.announce(e)
	if e.TableChanged {
		h.keepTable()
	}
	if e.Save != nil {
		h.write(e.Save)
	} else if !h.up && !h.disk.busy && h.disk.waiting == nil {
		h.goUp()
	}
	if e.Changed {
		h.w.checks.observe(h)
	}
	if e.Fatal != nil && h.core != nil {
		h.fail(e.Fatal)
	}
}

func (h *host) announce(e Effects) {
	for _, s := range e.Sends {
		h.send(s.To, s.Msg)
	}
	for _, b := range e.Broadcasts {
		h.swim.tell(&rumour{key: b.Key, msg: b.Msg})
	}
}

// fail ends the daemon with an error; somebody has to look at it.
func (h *host) fail(err error) {
	h.fatal = err
	h.w.tally[refusals]++
	h.w.trace.line(h.w, h, "fails: %v", err)
	h.away = true
	h.end()
}

// maxFrame is what goes in one datagram; anything longer goes by stream.
const maxFrame = 1232

// send carries a message to a node where gossip says it is, or, where gossip
// knows nothing, to where it wrote from.
func (h *host) send(to record.NodeID, msg []byte) {
	place, ok := h.swim.placeOf(to)
	if !ok || !h.up {
		return
	}
	h.w.trace.message(h.w, h, to, "sends", msg)
	if other := h.w.at(place); h.w.onSend != nil && other != nil && other.id == to {
		h.w.onSend(h, other, msg)
	}
	for _, l := range h.w.liars {
		if other := h.w.at(place); other != nil && other.id == to {
			l.hears(other, msg)
		}
	}
	from, at := h.id, h.place
	receive := func(other *host) {
		if other.id == to { // the frame says whom it is for
			other.receive(from, at, msg)
		}
	}
	if len(msg) <= maxFrame {
		h.datagram(place, len(msg)+64, receive)
	} else {
		h.stream(place, len(msg)+512, receive)
	}
}

func (h *host) receive(from record.NodeID, at int, msg []byte) {
	h.w.trace.mix(uint64(h.w.now), uint64(h.index), uint64(crc(msg)))
	if at != 0 {
		h.swim.wrote(from, at)
	}
	msg = h.w.damage.message(h, msg)
	if msg != nil {
		msg = h.lies(msg)
	}
	if msg == nil {
		return
	}
	h.w.trace.message(h.w, h, from, "gets", msg)
	h.do(func(now Time) {
		if err := h.core.Receive(now, msg); err != nil && !errors.Is(err, ErrNoNetwork) {
			h.w.breaks("decoding", "%s refuses a message from %s: %v", h.config.Name, from.Short(), err)
		}
	})
	h.w.damage.after(h)
}

// merge takes in another node's state, as it comes with a join.
func (h *host) merge(from record.NodeID, state []byte) {
	if len(state) == 0 || from == h.id {
		return
	}
	h.do(func(now Time) {
		switch err := h.core.Merge(now, from, state); {
		case errors.Is(err, record.ErrOtherNetwork):
			h.w.breaks("3", "%s is in another network than %s", h.config.Name, from.Short())
		case errors.Is(err, ErrNetworkParameters):
			h.fail(err)
		case err != nil:
			h.w.breaks("decoding", "%s refuses the state of %s: %v", h.config.Name, from.Short(), err)
		default:
			h.core.Joined(now)
			if !h.met {
				h.met = true
				h.core.Tick(now)
			}
		}
	})
	h.w.damage.after(h)
}

// LeaveWait is how long a farewell waits for claims under way.
const LeaveWait = 2 * time.Second

// leave hands the lease back, once those have claimed who were promised something.
func (h *host) leave() {
	if h.retiring {
		return
	}
	h.retiring = true
	h.retire(h.boots, h.w.now)
}

func (h *host) retire(boot int, since time.Duration) {
	if h.boots != boot {
		return
	}
	if !h.up || h.disk.full || h.paused {
		h.retiring = false
		return
	}
	owing := false
	h.do(func(now Time) { owing = h.core.Retire(now) })
	if owing && h.w.now-since < LeaveWait {
		h.w.after(20*time.Millisecond, func() { h.retire(boot, since) })
		return
	}
	h.depart()
}

// depart gives up the lease: durably first, and told to others after that. The
// core is left alone meanwhile.
func (h *host) depart() {
	h.w.tally[leaves]++
	h.w.trace.line(h.w, h, "leaves")
	h.w.checks.leaves(h)
	h.core.Leave(h.w.now - h.started)
	e := h.core.Effects()
	h.leaving, h.away, h.paused = true, true, true
	h.config.MayFound = false // whoever comes back after a farewell comes back as a guest
	if e.Save == nil {
		h.farewell(e)
		return
	}
	h.write(e.Save)
	h.awaitSaved(e)
}

// awaitSaved says goodbye once the disk has the last vault.
func (h *host) awaitSaved(e Effects) {
	boot := h.boots
	h.w.after(5*time.Millisecond, func() {
		switch {
		case h.boots != boot:
		case h.disk.token >= e.Save.Token:
			h.farewell(e)
		default:
			h.awaitSaved(e)
		}
	})
}

func (h *host) farewell(e Effects) {
	h.w.checks.left(h)
	h.announce(e)
	h.swim.farewell()
	if !h.w.chance(0.1) { // killed before that
		h.disk.table = h.core.State()
	}
	h.end()
}

// forget strikes out another node.
func (h *host) forget(id record.NodeID) (err error) {
	w := h.w
	h.do(func(now Time) {
		if err = h.core.Forget(now, id); err != nil {
			return
		}
		w.tally[forgets]++
		w.trace.line(w, h, "forgets %s", w.nameOf(id))
		w.checks.deed(id).forgotten = true
		if w.links.lossy() || w.runs(id) {
			w.checks.excuses("a live node was forgotten")
		}
		w.checks.split = nil
	})
	return err
}

// loseVault takes everything from the disk but the identity.
func (h *host) loseVault() {
	h.w.tally[restartsAmnesia]++
	h.w.trace.line(h.w, h, "loses its vault")
	h.disk, h.amnesia = disk{}, true
	h.w.checks.deed(h.id).slot = 0
	if h.w.tally[leaves] > 0 {
		h.w.checks.excuses("a vault was lost that knew of a farewell")
	}
}

// holding is the slot this host has confirmed, if its daemon runs.
func (h *host) holding() (record.Slot, bool) {
	if h.core == nil || h.core.Inside().Claim().Phase != PhaseConfirmed || h.leaving {
		return 0, false
	}
	return h.core.Inside().Claim().Slot, true
}

// lease is a live host's confirmed subnet, as its view shows it.
func (h *host) lease() (netip.Prefix, bool) {
	if h.core == nil {
		return netip.Prefix{}, false
	}
	v := h.core.View()
	if v.State != LeaseConfirmed {
		return netip.Prefix{}, false
	}
	for _, n := range v.Nodes {
		if n.Self {
			return n.Subnet, true
		}
	}
	return netip.Prefix{}, false
}

func (h *host) confirmed() bool { _, ok := h.holding(); return ok && h.up }
