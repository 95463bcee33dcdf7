// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"crypto/ed25519"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/record"
)

// Damage is a protocol broken on purpose, to see that the simulator notices. It
// reaches into a core from its tests: the core as it is built has no switch for
// any of this.
type Damage struct {
	Name   string
	Within int // schedules in which it has to be found
	// strain, where there is one, makes schedules of the kind that needs
	// the rule.
	Strain func(*Plan)
	// noSync answers for the disk as soon as a write has reached the page
	// cache.
	noSync bool
	// onMessage may rewrite a message of the core's, or drop it (nil).
	onMessage func(h *Host, msg []byte) []byte
	// onInput may change a core's memory after an input.
	onInput func(h *Host)
	onBoot  func(h *Host)
}

// writeback is how long the kernel keeps what was not synced.
const writeback = 30 * time.Second

func (d *Damage) lazy() bool { return d != nil && d.noSync }

func (d *Damage) message(h *Host, msg []byte) []byte {
	if d == nil || d.onMessage == nil {
		return msg
	}
	return d.onMessage(h, msg)
}

func (d *Damage) after(h *Host) {
	if d != nil && d.onInput != nil && h.Core != nil && h.Core.Inside().Table() != nil {
		d.onInput(h)
	}
}

func (d *Damage) booted(h *Host) {
	if d != nil && d.onBoot != nil && h.Core != nil {
		d.onBoot(h)
	}
}

// Damages are the broken protocols that the simulator must notice.
var Damages = []Damage{
	{Name: "no fsync: the disk answers before it is written", Within: 2000, noSync: true},
	{Name: "no epoch rule: a holder promises a slot twice", Within: 2000, onMessage: forgetPromise},
	{Name: "no epoch rule: the lease that was known first stays", Within: 500, Strain: expiring, onInput: func(h *Host) {
		keepLeases(h, func(old, now *record.LeaseRecord) bool { return now.Epoch > old.Epoch })
	}},
	{Name: "no majority: one promise is enough", Within: 1000, onInput: oneIsEnough},
	{Name: "no join before the claim", Within: 1000, onBoot: func(h *Host) {
		h.Do(func(now core.Time) { h.Core.Joined(now) })
	}},
	{Name: "a tie-break that differs by node", Within: 5000, Strain: cutting, onInput: func(h *Host) {
		keepLeases(h, func(old, now *record.LeaseRecord) bool { return now.Epoch == old.Epoch && h.Index%2 == 1 })
	}},
	{Name: "a refusal is ignored", Within: 5000, onMessage: dropRefusal},
	{Name: "an epoch that was given back is promised again", Within: 5000, onInput: func(h *Host) {
		h.Core.Inside().DropPromises(func(p core.Promise) bool { return p.Claimant.IsZero() })
	}},
	{Name: "a withdrawal is not repeated", Within: 2000, onMessage: dropReminder},
	{Name: "no signature is checked", Within: 500, Strain: Lying, onBoot: func(h *Host) {
		h.Core.Inside().SetSigner(believer{h.signer()})
	}},
	{Name: "no bound on jumps", Within: 500, Strain: Lying, onBoot: func(h *Host) { h.Core.Inside().SetGate(anyJump{h.Core.Inside().Judge()}) }},
	{Name: "a live node is forgotten", Within: 500, Strain: Lying, onBoot: func(h *Host) { h.Core.Inside().SetGate(anyForget{h.Core.Inside().Judge()}) }},
	{Name: "a lease needs no voucher", Within: 500, Strain: Lying, onBoot: func(h *Host) { h.Core.Inside().SetGate(anyLease{h.Core.Inside().Judge()}) }},
}

// believer takes every signature for good.
type believer struct{ record.Signer }

// Verify implements record.Signer.
func (believer) Verify(ed25519.PublicKey, []byte, []byte) bool { return true }

// anyJump is a judge that lets counters rise as far as they like.
type anyJump struct{ core.Judge }

// Lease implements record.Gate.
func (g anyJump) Lease(old *record.Stored[record.LeaseRecord], rec *record.LeaseRecord, raw []byte) bool {
	return g.Trusts() || g.Believes(old, rec, raw)
}

// anyForget is a judge that takes the word of a holder that a node is no more.
type anyForget struct{ core.Judge }

// Lease implements record.Gate.
func (g anyForget) Lease(old *record.Stored[record.LeaseRecord], rec *record.LeaseRecord, raw []byte) bool {
	return rec.Holder.IsZero() && g.HasSay(record.NodeIDOf(rec.Key)) || g.Gate.Lease(old, rec, raw)
}

// Forget implements record.Gate.
func (g anyForget) Forget(rec *record.ForgetRecord, _ []byte) bool {
	return g.HasSay(record.NodeIDOf(rec.Key))
}

// anyLease is a judge that believes each node about its own lease.
type anyLease struct{ core.Judge }

// Lease implements record.Gate.
func (g anyLease) Lease(old *record.Stored[record.LeaseRecord], rec *record.LeaseRecord, raw []byte) bool {
	return g.Trusts() || !rec.Holder.IsZero() && g.Reaches(old, rec) || g.Gate.Lease(old, rec, raw)
}

// expiring has the dead lose their leases, few subnets, and the dead come back.
func expiring(p *Plan) {
	for _, h := range p.w.Hosts {
		h.Config.LeaseTTL = 45 * time.Second
	}
	p.w.Hosts[0].Config.Want = seedNetwork(len(p.w.Hosts) - 1)
	p.faults = []fault{{do: (*Plan).crash}, {do: (*Plan).expire}, {do: (*Plan).startAll}}
}

// cutting cuts the network while leases are granted, of few subnets.
func cutting(p *Plan) {
	p.w.Hosts[0].Config.Want = seedNetwork(len(p.w.Hosts)/2 + 1)
	p.w.Links.Base, p.gap = 100*time.Millisecond, 300*time.Millisecond
	p.faults = []fault{{do: (*Plan).split}, {do: (*Plan).bridge}, {do: (*Plan).startAll}}
}

// forgetPromise makes a holder forget what it has promised to others.
func forgetPromise(h *Host, msg []byte) []byte {
	kind, body, err := Split(msg)
	if err != nil || kind != record.MsgAsk {
		return msg
	}
	m, from := decoded[record.Ask](body), record.Sender(msg)
	h.Core.Inside().DropPromises(func(p core.Promise) bool { return p.Slot == m.Slot && p.Claimant != from })
	return msg
}

// keepLeases brings back leases that were overruled.
func keepLeases(h *Host, keep func(old, now *record.LeaseRecord) bool) {
	t := h.Core.Inside().Table()
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

// oneIsEnough makes all holders agree as soon as one does.
func oneIsEnough(h *Host) {
	inside := h.Core.Inside()
	if inside.Claim().Phase != core.PhaseAsking {
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
		h.Do(func(core.Time) { inside.Decide() })
		return
	}
}

func dropRefusal(_ *Host, msg []byte) []byte {
	if kind, body, err := Split(msg); err == nil && kind == record.MsgAnswer {
		if v := decoded[record.Answer](body).Verdict; v == record.Held || v == record.Taken || v == record.Stale {
			return nil
		}
	}
	return msg
}

// dropReminder leaves a claimant in the dark about promises it has no use for.
func dropReminder(h *Host, msg []byte) []byte {
	if kind, body, err := Split(msg); err == nil && kind == record.MsgAnswer {
		if m := decoded[record.Answer](body); m.Verdict == record.Promised && !h.Core.Inside().Wants(m.Slot, m.Claim) {
			return nil
		}
	}
	return msg
}
