// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/record"
)

// liar is a party that says what is not true. A stranger has an identity and
// nothing else. A lying member is a host of the network that holds a lease. Its
// daemon works as it should except for what it is made to say here.
type liar struct {
	w    *World
	by   record.Identity
	host *Host // nil: a stranger
	// sybils are identities of its own that it speaks for besides.
	sybils []record.Identity
	heard  []recorded // messages of others, to be repeated
	sent   uint64
}

// recorded is a message of another node, and the host it was for.
type recorded struct {
	to  *Host
	msg []byte
}

// lyingFaults are what happens beside the lies: nothing after which an honest
// network may make conflicts.
var lyingFaults = []fault{
	{do: (*Plan).crash}, {do: (*Plan).startAll}, {do: (*Plan).move}, {do: (*Plan).die}, {do: (*Plan).leave},
}

// Lying adds a stranger, and half of the time a member that lies. There are few
// subnets, so that it matters when one is burnt.
func Lying(p *Plan) {
	w := p.w
	w.Hosts[0].Config.Want = seedNetwork(len(w.Hosts) + 3)
	for _, h := range w.Hosts {
		h.Config.LeaseTTL = 24 * time.Hour
	}
	w.Links.Loss = 0
	p.faults, p.steps = lyingFaults, 6+w.rand.IntN(10)
	p.gap = 15 * time.Second
	w.liars = append(w.liars, w.newLiar(nil))
	if w.chance(0.5) && len(w.Hosts) >= 4 {
		w.liars = append(w.liars, w.newLiar(w.Hosts[1+w.rand.IntN(len(w.Hosts)-1)]))
	}
	for _, l := range w.liars {
		w.after(w.between(0, time.Second), l.speak)
	}
}

func (w *World) newLiar(h *Host) *liar {
	l := &liar{w: w, host: h}
	for range 4 {
		w.strangers++
		l.sybils = append(l.sybils, identityOf(500+w.strangers))
	}
	if l.by = l.sybils[0]; h != nil {
		l.by = h.Identity
	}
	return l
}

// speak tells one lie, and goes on.
func (l *liar) speak() {
	w := l.w
	if w.healing {
		return // it has said enough: what must hold then is checked without it
	}
	w.after(w.between(50*time.Millisecond, time.Second), l.speak)
	if l.host != nil && (l.host.Core == nil || !l.host.up || l.host.Core.Inside().Table() == nil) {
		return
	}
	to := w.someHost(func(h *Host) bool { return h.up && !h.paused && h != l.host && h.Core.Inside().Table() != nil })
	if to == nil {
		return
	}
	w.tally[lies]++
	switch w.rand.IntN(8) {
	case 0:
		l.free(to)
	case 1:
		l.forget(to)
	case 2:
		l.vote(to)
	case 3:
		l.withdraw(to)
	case 4:
		l.repeat()
	case 5:
		l.grab(to)
	case 6:
		l.burn(to)
	case 7:
		l.makeUp(to)
	}
}

func (w *World) someHost(fits func(*Host) bool) *Host {
	fitting := slices.DeleteFunc(slices.Clone(w.Hosts), func(h *Host) bool { return !fits(h) })
	if len(fitting) == 0 {
		return nil
	}
	return pick(w, fitting...)
}

// tell delivers a message to a host, and ignores the outcome.
func (l *liar) tell(to *Host, msg []byte) {
	w := l.w
	w.after(w.delay(), func() {
		if to.up && !to.paused && to.Core != nil && to.Core.Inside().Table() != nil {
			w.trace.message(w, to, l.by.ID(), "is lied to", msg)
			to.Do(func(now core.Time) { _ = to.Core.Receive(now, msg) })
		}
	})
}

// rumor announces a record to all hosts.
func (l *liar) rumor(kind record.Kind, rec any, by record.Identity) {
	t := l.network()
	if t == nil {
		return
	}
	raw := by.Seal(l.w.Hosts[0].signer(), t.NetID, kind, rec)
	for _, h := range l.w.Hosts {
		if h.up && h != l.host && h.Core.Inside().Table() != nil {
			l.tell(h, record.EncodeRumor(raw))
			if l.host != nil { // as a part of its table, which it stands for
				l.tell(h, l.message(h, l.by, record.MsgRecords, record.Records{Records: [][]byte{raw}}))
			}
		}
	}
}

func (h *Host) signer() record.Signer {
	if h.Config.Signer == nil {
		return record.Ed25519{}
	}
	return h.Config.Signer
}

// network is a table of the network: a liar listens.
func (l *liar) network() *record.Table {
	for _, h := range l.w.Hosts {
		if h.up && h.Core.Inside().Table() != nil {
			return h.Core.Inside().Table()
		}
	}
	return nil
}

// message is signed by the one identity and says that it is of another.
func (l *liar) message(to *Host, as record.Identity, kind record.MessageKind, body any) []byte {
	l.sent++
	m := messageOf(as, to.Core.Inside().Table().NetID, to.ID, 1<<30, l.sent, kind)
	return m.Seal(l.w.Hosts[0].signer(), l.by.Key, body)
}

// victim returns another host that has been up for a while, as all others see
// it, and what it holds. A member may rightly say of a host that is dead, or
// just back, that it is to be forgotten.
func (l *liar) victim() (*Host, *record.LeaseRecord) {
	w := l.w
	v := w.someHost(func(h *Host) bool { return h != l.host && h.Confirmed() && w.everybodySees(h.ID) })
	if v == nil {
		return nil, nil
	}
	lease := v.Core.Inside().Table().Leases[v.Core.Inside().Claim().Slot]
	if lease == nil {
		return nil, nil
	}
	return v, &lease.Rec
}

// everybodySees reports whether a node has been up for a while for all others,
// and all others for it.
func (w *World) everybodySees(id record.NodeID) bool {
	for _, h := range w.Hosts {
		if h.Core != nil && h.Core.Inside().Table() != nil && !h.Core.Inside().Judge().IsStable(id) {
			return false
		}
	}
	return true
}

var highCounters = []uint64{1, 2, core.MaxJump, core.MaxJump + 1, record.MaxCounter - 1, record.MaxCounter, 1<<64 - 1}

// free ends the lease of a live node, in a record or in a node's own name.
func (l *liar) free(*Host) {
	v, lease := l.victim()
	if v == nil {
		return
	}
	free := *lease
	free.Holder, free.Freed, free.Granted, free.Key = record.NodeID{}, v.ID, lease.GrantEpoch(), l.by.Public()
	free.Epoch = lease.Epoch + pick(l.w, highCounters...)
	if l.w.chance(0.3) {
		free.Key = v.Identity.Public()
	}
	l.rumor(record.KindLease, free, l.by)
}

// forget strikes out a live node.
func (l *liar) forget(*Host) {
	if v, _ := l.victim(); v != nil {
		l.rumor(record.KindForget, record.ForgetRecord{
			Node: v.ID, Start: v.Core.StartNumber() + pick(l.w, highCounters...) - 1, Key: l.by.Public(), Faded: l.w.chance(0.3),
		}, l.by)
	}
}

// vote answers a claim in another name.
func (l *liar) vote(to *Host) {
	k := to.Core.Inside().Claim()
	if k.Phase != core.PhaseAsking {
		return
	}
	for _, h := range l.w.Hosts {
		if h == to || h == l.host && h != nil {
			continue
		}
		a := record.Answer{
			Slot: k.Slot, Epoch: k.Epoch, Claim: k.ID, Verdict: pick(l.w, record.Promised, record.Held, record.Taken, record.Stale), Seen: pick(l.w, highCounters...),
			Holders: to.Core.Inside().HoldersHash(),
		}
		promised := record.Grant{Slot: k.Slot, Epoch: k.Epoch, Claimant: to.ID, Claim: k.ID, Ordinal: k.Ordinal}
		a.Voucher = l.w.Hosts[0].signer().Sign(l.by.Key, promised.Bytes(to.Core.Inside().Table().NetID))
		l.tell(to, l.message(to, h.Identity, record.MsgAnswer, a))
	}
}

// withdraw takes another node's promises back.
func (l *liar) withdraw(to *Host) {
	for _, p := range to.Core.Inside().Promises() {
		for _, h := range l.w.Hosts {
			if h.ID == p.Claimant && h != l.host {
				l.tell(to, l.message(to, h.Identity, record.MsgWithdraw, record.Withdraw{Slot: p.Slot, Claim: record.ClaimIDOf(1<<64 - 1)}))
			}
		}
	}
}

// repeat sends again what others have sent.
func (l *liar) repeat() {
	for range min(20, len(l.heard)) {
		m := pick(l.w, l.heard...)
		l.tell(m.to, m.msg)
	}
}

// hears records a message, for a while.
func (l *liar) hears(to *Host, msg []byte) {
	if len(l.heard) < 500 {
		l.heard = append(l.heard, recorded{to, msg})
	} else {
		l.heard[l.w.rand.IntN(500)] = recorded{to, msg}
	}
}

// grab takes the slot of a live node, with promises of its own making. The
// longest-standing holder could: its word alone is enough. So could any holder
// where the lease has one voucher only, of a holder that has left since.
func (l *liar) grab(*Host) {
	v, lease := l.victim()
	if v == nil || l.isSenior() || !l.w.everybodyProves(lease) {
		return
	}
	l.claim(lease.Slot, lease.Epoch+pick(l.w, uint64(0), 1, 2, core.MaxJump), pick(l.w, lease.Ordinal+1, lease.Ordinal, 1), false)
}

// everybodyProves reports whether a lease is strong for all hosts.
func (w *World) everybodyProves(lease *record.LeaseRecord) bool {
	for _, h := range w.Hosts {
		if h.Core != nil && h.Core.Inside().Table() != nil && !h.Core.Inside().Judge().IsStrong(lease) {
			return false
		}
	}
	return true
}

func (l *liar) isSenior() bool {
	return slices.ContainsFunc(l.w.Hosts, func(h *Host) bool {
		return h.Core != nil && h.Core.Inside().Table() != nil && h.Core.Inside().Senior() == l.by.ID()
	})
}

// claim makes a lease that no holder has granted.
func (l *liar) claim(s record.Slot, epoch, ordinal uint64, free bool) {
	t := l.network()
	if t == nil || epoch == 0 {
		return
	}
	as := pick(l.w, l.sybils...)
	if !free && l.w.chance(0.3) {
		as = l.by
	}
	r := record.LeaseRecord{
		Slot: s, Epoch: epoch, Holder: as.ID(), Ordinal: ordinal, Electors: uint32(pick(l.w, 0, 1, 5)), Promises: 5, Claim: record.ClaimIDOf(7),
		Pinned: l.w.chance(0.5), Key: as.Public(),
	}
	if free {
		r.Holder, r.Freed, r.Granted = record.NodeID{}, as.ID(), epoch-1
	}
	g := record.GrantOf(&r)
	for _, id := range append([]record.Identity{l.by}, l.sybils...) {
		by := id.ID()
		r.Vouchers = append(append(r.Vouchers, by[:]...), l.w.Hosts[0].signer().Sign(id.Key, g.Bytes(t.NetID))...)
	}
	if l.host == nil {
		r.Vouchers = r.Vouchers[record.VoucherLen:] // its own is among the sybils
	}
	l.rumor(record.KindLease, r, as)
}

// burn makes a slot that no node holds useless, by an epoch that none is above.
func (l *liar) burn(to *Host) {
	low, high := to.Core.Network().Eligible()
	s := low + record.Slot(l.w.rand.IntN(int(high-low)+1))
	if to.Core.Inside().Rank(s) < 3 {
		l.claim(s, pick[uint64](l.w, record.MaxCounter, record.MaxCounter-1), to.Core.Inside().Table().MaxOrdinal(), true)
	}
}

// makeUp announces nodes that do not exist.
func (l *liar) makeUp(*Host) {
	at := record.EndpointsOf(Address(60000+l.w.rand.IntN(5000), 8285))
	as := pick(l.w, l.sybils...)
	l.rumor(record.KindNode, record.NodeRecord{
		Key: as.Public(), Start: pick(l.w, highCounters...), Version: 1, Name: pick(l.w, "made up", "a\nMAINPID=1"), Endpoints: at, GossipEndpoints: at,
		Left: l.w.chance(0.2), ProtocolMin: 2, ProtocolMax: 2,
	}, as)
}

// lies has a lying member forget what it has promised to others, or keep
// silent.
func (h *Host) lies(msg []byte) []byte {
	l := h.World.lyingMember(h)
	if l == nil {
		return msg
	}
	if kind, _, err := Split(msg); err == nil && kind == record.MsgAsk && h.World.chance(0.3) {
		return nil
	}
	return forgetPromise(h, msg)
}

func (w *World) lyingMember(h *Host) *liar {
	for _, l := range w.liars {
		if l.host == h {
			return l
		}
	}
	return nil
}
