package core

import (
	"crypto/ed25519"
	"time"

	"flanneld/peers/internal/record"
)

// damage is a protocol broken on purpose, to see that the simulator notices. It
// reaches into a core from its tests: the core as it is built has no switch for
// any of this.
type damage struct {
	name   string
	within int // schedules in which it has to be found
	// strain, where there is one, makes schedules of the kind that needs the rule.
	strain func(*plan)
	// noSync answers for the disk as soon as a write has reached the page cache.
	noSync bool
	// onMessage may rewrite a message of the core's, or drop it (nil).
	onMessage func(h *host, msg []byte) []byte
	// onInput may change a core's memory after an input.
	onInput func(h *host)
	onBoot  func(h *host)
}

// writeback is how long the kernel keeps what nobody has synced.
const writeback = 30 * time.Second

func (d *damage) lazy() bool { return d != nil && d.noSync }

func (d *damage) message(h *host, msg []byte) []byte {
	if d == nil || d.onMessage == nil {
		return msg
	}
	return d.onMessage(h, msg)
}

func (d *damage) after(h *host) {
	if d != nil && d.onInput != nil && h.core != nil && h.core.Inside().Table() != nil {
		d.onInput(h)
	}
}

func (d *damage) booted(h *host) {
	if d != nil && d.onBoot != nil && h.core != nil {
		d.onBoot(h)
	}
}

var damages = []damage{
	{name: "no fsync: the disk answers before it is written", within: 2000, noSync: true},
	{name: "no epoch rule: a holder promises a slot twice", within: 2000, onMessage: forgetPromise},
	{name: "no epoch rule: the lease that was known first stays", within: 500, strain: expiring, onInput: func(h *host) {
		keepLeases(h, func(old, now *record.LeaseRecord) bool { return now.Epoch > old.Epoch })
	}},
	{name: "no majority: one promise is enough", within: 1000, onInput: oneIsEnough},
	{name: "no join before the claim", within: 1000, onBoot: func(h *host) {
		h.do(func(now Time) { h.core.Joined(now) })
	}},
	{name: "a tie-break that differs by node", within: 5000, strain: cutting, onInput: func(h *host) {
		keepLeases(h, func(old, now *record.LeaseRecord) bool { return now.Epoch == old.Epoch && h.index%2 == 1 })
	}},
	{name: "a refusal is ignored", within: 5000, onMessage: dropRefusal},
	{name: "an epoch that was given back is promised again", within: 5000, onInput: func(h *host) {
		h.core.Inside().DropPromises(func(p Promise) bool { return p.Claimant.IsZero() })
	}},
	{name: "a withdrawal is not repeated", within: 2000, onMessage: dropReminder},
	{name: "no signature is checked", within: 500, strain: lying, onBoot: func(h *host) {
		h.core.Inside().SetSigner(believer{h.signer()})
	}},
	{name: "no bound on jumps", within: 500, strain: lying, onBoot: func(h *host) { h.core.Inside().SetGate(anyJump{h.core.Inside().Judge()}) }},
	{name: "a live node is forgotten", within: 500, strain: lying, onBoot: func(h *host) { h.core.Inside().SetGate(anyForget{h.core.Inside().Judge()}) }},
	{name: "a lease needs no voucher", within: 500, strain: lying, onBoot: func(h *host) { h.core.Inside().SetGate(anyLease{h.core.Inside().Judge()}) }},
}

// believer takes every signature for good.
type believer struct{ record.Signer }

func (believer) Verify(ed25519.PublicKey, []byte, []byte) bool { return true }

// anyJump is a judge that lets counters rise as far as they like.
type anyJump struct{ Judge }

func (g anyJump) Lease(old *record.Stored[record.LeaseRecord], rec *record.LeaseRecord, raw []byte) bool {
	return g.Trusts() || g.Believes(old, rec, raw)
}

// anyForget is a judge that takes the word of a holder that a node is no more.
type anyForget struct{ Judge }

func (g anyForget) Lease(old *record.Stored[record.LeaseRecord], rec *record.LeaseRecord, raw []byte) bool {
	return rec.Holder.IsZero() && g.HasSay(record.NodeIDOf(rec.Key)) || g.Gate.Lease(old, rec, raw)
}

func (g anyForget) Forget(rec *record.ForgetRecord, _ []byte) bool {
	return g.HasSay(record.NodeIDOf(rec.Key))
}

// anyLease is a judge that believes each node about its own lease.
type anyLease struct{ Judge }

func (g anyLease) Lease(old *record.Stored[record.LeaseRecord], rec *record.LeaseRecord, raw []byte) bool {
	return g.Trusts() || !rec.Holder.IsZero() && g.Reaches(old, rec) || g.Gate.Lease(old, rec, raw)
}

// expiring has the dead lose their leases, few subnets, and the dead come back.
func expiring(p *plan) {
	for _, h := range p.w.hosts {
		h.config.LeaseTTL = 45 * time.Second
	}
	p.w.hosts[0].config.Want = seedNetwork(len(p.w.hosts) - 1)
	p.faults = []fault{{do: (*plan).crash}, {do: (*plan).expire}, {do: (*plan).startAll}}
}

// cutting cuts the network while leases are granted, of few subnets.
func cutting(p *plan) {
	p.w.hosts[0].config.Want = seedNetwork(len(p.w.hosts)/2 + 1)
	p.w.links.base, p.gap = 100*time.Millisecond, 300*time.Millisecond
	p.faults = []fault{{do: (*plan).split}, {do: (*plan).bridge}, {do: (*plan).startAll}}
}

// forgetPromise makes a holder forget what it has promised to others.
func forgetPromise(h *host, msg []byte) []byte {
	kind, body, err := splitMessage(msg)
	if err != nil || kind != record.MsgAsk {
		return msg
	}
	m, from := decoded[record.Ask](body), record.Sender(msg)
	h.core.Inside().DropPromises(func(p Promise) bool { return p.Slot == m.Slot && p.Claimant != from })
	return msg
}

// keepLeases brings back leases that were overruled.
func keepLeases(h *host, keep func(old, now *record.LeaseRecord) bool) {
	t := h.core.Inside().Table()
	if h.known == nil {
		h.known = map[record.Slot]*record.Stored[record.LeaseRecord]{}
	}
	for s, l := range t.Leases {
		old := h.known[s]
		if old != nil && old != l && old.Rec.Holder != l.Rec.Holder && !old.Rec.Holder.IsZero() && !l.Rec.Holder.IsZero() && keep(&old.Rec, &l.Rec) {
			t.PutLease(old)
			continue
		}
		h.known[s] = l
	}
}

// oneIsEnough has everybody agree as soon as anybody does.
func oneIsEnough(h *host) {
	inside := h.core.Inside()
	if inside.Claim().Phase != PhaseAsking {
		return
	}
	votes := inside.Votes()
	for _, v := range votes {
		if v != record.Promised {
			continue
		}
		for _, id := range inside.Electors() {
			votes[id] = record.Promised
		}
		h.do(func(Time) { inside.Decide() })
		return
	}
}

func dropRefusal(_ *host, msg []byte) []byte {
	if kind, body, err := splitMessage(msg); err == nil && kind == record.MsgAnswer {
		if v := decoded[record.Answer](body).Verdict; v == record.Held || v == record.Taken || v == record.Stale {
			return nil
		}
	}
	return msg
}

// dropReminder leaves a claimant in the dark about promises it has no use for.
func dropReminder(h *host, msg []byte) []byte {
	if kind, body, err := splitMessage(msg); err == nil && kind == record.MsgAnswer {
		if m := decoded[record.Answer](body); m.Verdict == record.Promised && !h.core.Inside().Wants(m.Slot, m.Claim) {
			return nil
		}
	}
	return msg
}
