package core

import (
	"bytes"
	"container/heap"
	"crypto/ed25519"
	"encoding/binary"

	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// world is a network of cores under virtual time: one goroutine, one seed, no
// wall clock. Messages can be lost, doubled, delayed and thereby reordered;
// nodes can crash at any disk write and start again with what was durable.
type world struct {
	t     *testing.T
	rand  *rand.Rand
	now   time.Duration
	queue events
	order int
	hosts []*host

	loss, double float64
	maxDelay     time.Duration
	cut          func(from, to int) bool
	crashOnSave  float64
}

type host struct {
	w        *world
	index    int
	identity Identity
	config   Config
	core     *Core
	started  time.Duration // when this start began, in the world's time
	start    int           // counts starts, to drop events of an earlier one
	vault    []byte        // durable
	table    []byte
	diskFree time.Duration // when the disk has done what it was given
	fatal    error
	logs     []string
	founder  bool
}

type event struct {
	at    time.Duration
	order int
	do    func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// newWorld has n hosts, none of them started; the first one founds.
func newWorld(t *testing.T, seed uint64, n int, adjust func(i int, c *Config)) *world {
	w := &world{t: t, rand: rand.New(rand.NewPCG(seed, 1)), maxDelay: 2 * time.Millisecond}
	for i := range n {
		key := make([]byte, ed25519.SeedSize)
		binary.BigEndian.PutUint64(key, seed)
		binary.BigEndian.PutUint64(key[8:], uint64(i)+1)
		h := &host{w: w, index: i, identity: Identity{ed25519.NewKeyFromSeed(key)}, founder: i == 0}
		addr := netip.AddrFrom4([4]byte{192, 0, byte(2 + i>>8), byte(i)})
		h.config = Config{
			Identity: h.identity, Name: fmt.Sprintf("host%d", i), MTU: 1472,
			Endpoint: netip.AddrPortFrom(addr, 8285), Gossip: netip.AddrPortFrom(addr, 8286),
			LeaseTTL: 24 * time.Hour, MayFound: i == 0,
		}
		if adjust != nil {
			adjust(i, &h.config)
		}
		w.hosts = append(w.hosts, h)
	}
	return w
}

func (w *world) after(d time.Duration, do func()) {
	w.order++
	heap.Push(&w.queue, event{w.now + d, w.order, do})
}

// run lets the world go on for a while.
func (w *world) run(d time.Duration) {
	end := w.now + d
	for len(w.queue) > 0 && w.queue[0].at <= end {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		e.do()
	}
	w.now = end
}

// runUntil runs until ok, at most for d.
func (w *world) runUntil(d time.Duration, what string, ok func() bool) {
	w.t.Helper()
	for end := w.now + d; !ok(); w.run(50 * time.Millisecond) {
		if w.now > end {
			w.t.Fatalf("after %v still not: %s\n%s", d, what, w.dump())
		}
	}
}

func (w *world) reachable(a, b int) bool {
	return w.hosts[b].core != nil && (w.cut == nil || !w.cut(a, b))
}

// boot starts a host with its durable state.
func (h *host) boot() {
	h.w.t.Helper()
	c := h.config
	c.Rand = rand.New(rand.NewPCG(h.w.rand.Uint64(), 2))
	c.Instance = h.w.rand.Uint64()
	core, err := New(c, h.vault, h.table)
	if err != nil {
		h.w.t.Fatalf("host %d: %v", h.index, err)
	}
	h.core, h.started, h.fatal = core, h.w.now, nil
	h.start++
	h.do(func(now Time) { core.Start(now) })
	h.do(func(now Time) { core.Approve(now) })
	h.tick(h.start)
	for _, other := range h.w.hosts {
		if other != h && h.w.reachable(h.index, other.index) && h.w.reachable(other.index, h.index) {
			h.meet(other)
		}
	}
}

// rejoin is what a driver does every few seconds: try somebody who seems dead.
func (h *host) rejoin() {
	for _, other := range h.w.hosts {
		if other != h && other.core != nil && !h.core.member(other.core.ID()).up &&
			h.w.reachable(h.index, other.index) && h.w.reachable(other.index, h.index) {
			h.meet(other)
			return
		}
	}
}

// meet is what memberlist does at a join: state both ways, members up. A crash
// may come in between.
func (h *host) meet(other *host) {
	exchange := func(from, to *host) {
		if from.core == nil || to.core == nil {
			return
		}
		to.do(func(now Time) { to.core.MemberUp(now, from.core.ID()) })
		if s := from.core.State(); s != nil && to.core != nil {
			to.do(func(now Time) { _ = to.core.Merge(now, s) })
			to.do(func(now Time) { to.core.Approve(now) })
			to.do(func(now Time) { to.core.Joined(now) })
		}
	}
	exchange(other, h)
	exchange(h, other)
}

// crash stops a host; what is not durable is gone. The others notice later.
func (h *host) crash() {
	if h.core == nil {
		return
	}
	id := h.core.ID()
	h.core = nil
	h.w.after(3*time.Second, func() {
		for _, other := range h.w.hosts {
			if h.core == nil {
				other.do(func(now Time) { other.core.MemberDown(now, id) })
			}
		}
	})
}

// tick keeps the clock of one start going.
func (h *host) tick(start int) {
	h.w.after(100*time.Millisecond, func() {
		if h.core == nil || h.start != start {
			return
		}
		h.do(func(now Time) { h.core.Tick(now) })
		if h.core != nil && h.w.rand.IntN(50) == 0 {
			h.rejoin()
		}
		h.tick(start)
	})
}

// do makes an input and carries out its effects.
func (h *host) do(input func(now Time)) {
	if h.core == nil {
		return
	}
	input(h.w.now - h.started)
	e := h.core.Effects()
	for _, l := range e.Log {
		h.logs = append(h.logs, fmt.Sprint(l.Text, l.Args))
	}
	if e.Fatal != nil {
		h.fatal = e.Fatal
	}
	for _, s := range e.Sends {
		h.deliver(s.To, s.Msg)
	}
	for _, b := range e.Broadcasts {
		for _, other := range h.w.hosts {
			if other != h {
				h.deliver(other.identity.ID(), b.Msg)
			}
		}
	}
	if e.TableChanged {
		h.table = h.core.State()
	}
	if e.Save != nil {
		h.write(e.Save)
	}
}

// write is the disk: it takes a while, and the power may fail before or after.
func (h *host) write(s *Save) {
	start := h.start
	fails, before := h.w.rand.Float64() < h.w.crashOnSave, h.w.rand.IntN(2) == 0
	// One write after the other: an older vault never overwrites a newer one.
	h.diskFree = max(h.diskFree, h.w.now) + h.w.delay()
	h.w.after(h.diskFree-h.w.now, func() {
		if h.core == nil || h.start != start {
			return
		}
		if fails && before {
			h.crash()
			return
		}
		h.vault = s.Vault
		if fails {
			h.crash()
			return
		}
		h.do(func(now Time) { h.core.Saved(now, s.Token, nil) })
	})
}

func (w *world) delay() time.Duration {
	return time.Duration(w.rand.Int64N(int64(w.maxDelay)) + 1)
}

func (h *host) deliver(to NodeID, msg []byte) {
	w := h.w
	for _, other := range w.hosts {
		if other.identity.ID() != to {
			continue
		}
		copies := 1
		if w.rand.Float64() < w.double {
			copies = 2
		}
		for range copies {
			if w.rand.Float64() < w.loss {
				continue
			}
			w.after(w.delay(), func() {
				if w.reachable(h.index, other.index) {
					other.do(func(now Time) { _ = other.core.Receive(now, bytes.Clone(msg)) })
				}
			})
		}
	}
}

// lease is a live host's confirmed subnet.
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

func (h *host) confirmed() bool { _, ok := h.lease(); return ok }

// checkOverlap fails when two live hosts have confirmed one subnet.
func (w *world) checkOverlap() {
	w.t.Helper()
	holders := map[netip.Prefix]*host{}
	for _, h := range w.hosts {
		if s, ok := h.lease(); ok {
			if other := holders[s]; other != nil {
				w.t.Fatalf("hosts %d and %d both hold %s\n%s", other.index, h.index, s, w.dump())
			}
			holders[s] = h
		}
	}
}

func (w *world) confirmedHosts() int {
	n := 0
	for _, h := range w.hosts {
		if h.confirmed() {
			n++
		}
	}
	return n
}

// tablesEqual reports whether all live hosts have the same table.
func (w *world) tablesEqual() bool {
	var first []byte
	for _, h := range w.hosts {
		if h.core == nil {
			continue
		}
		s := h.core.State()
		if first != nil && !bytes.Equal(first, s) {
			return false
		}
		first = s
	}
	return true
}

func (w *world) dump() string {
	var b strings.Builder
	for _, h := range w.hosts {
		if h.core == nil {
			fmt.Fprintf(&b, "host %d: down\n", h.index)
			continue
		}
		v := h.core.View()
		s, _ := h.lease()
		fmt.Fprintf(&b, "host %d: state %d %v %q fatal %v\n", h.index, v.State, s, v.Waiting, h.fatal)
	}
	return b.String()
}
