// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/core/sim"
	"flanneld/peers/internal/record"
)

// stableWorld has some holders that have known each other for a while.
func stableWorld(t *testing.T, seed uint64, n int) *sim.World {
	w := sim.New(t, seed, n+1, nil)
	w.BootInTurn(w.Hosts[:n])
	w.RunUntil(20*time.Second, "tables equal", w.TablesEqual)
	w.Run(2 * core.StableAfter)
	return w
}

// said hands a host a record, signed by an identity, as a rumor.
func said(h *sim.Host, by record.Identity, kind record.Kind, rec any) (err error) {
	raw := by.Seal(sim.Checksum{}, h.Core.Inside().Table().NetID, kind, rec)
	h.Do(func(now core.Time) { err = h.Core.Receive(now, record.EncodeRumor(raw)) })
	return err
}

// Every counter that a stranger can write is tried at its ends, in every record
// and message. No lease ends, and the next claim goes through.
func TestNoCounterThatAStrangerWritesEndsOrBurnsALease(t *testing.T) {
	stranger := sim.Identity(900)
	for _, n := range []uint64{0, 1, 2, core.MaxJump - 1, core.MaxJump, core.MaxJump + 1, record.MaxCounter - 1, record.MaxCounter, record.MaxCounter + 1, 1<<63 - 1, 1<<64 - 2, 1<<64 - 1} {
		w := stableWorld(t, 50, 3)
		h, v := w.Hosts[0], w.Hosts[1]
		lease := h.Core.Inside().Table().HeldBy(v.ID).Rec
		at := record.EndpointsOf(sim.Address(999, 8285))
		for slot := record.Slot(1); slot < 256; slot++ {
			for _, writer := range []record.NodeID{v.ID, stranger.ID()} {
				_ = said(h, stranger, record.KindLease, record.LeaseRecord{Slot: slot, Epoch: n, Freed: writer, Ordinal: n, Claim: record.ClaimIDOf(n), Granted: n - 1, Key: stranger.Public()})
			}
			_ = said(h, stranger, record.KindLease, record.LeaseRecord{Slot: slot, Epoch: n, Holder: stranger.ID(), Ordinal: n, Claim: record.ClaimIDOf(n), Key: stranger.Public()})
		}
		_ = said(h, stranger, record.KindForget, record.ForgetRecord{Node: v.ID, Start: n, Key: stranger.Public()})
		_ = said(h, stranger, record.KindNode, record.NodeRecord{Key: stranger.Public(), Start: n, Version: n, Endpoints: at, GossipEndpoints: at, ProtocolMin: 2, ProtocolMax: 2})
		for _, m := range []struct {
			kind record.MessageKind
			body any
		}{
			{record.MsgAsk, record.Ask{Slot: lease.Slot, Epoch: n, Claim: record.ClaimIDOf(n), Ordinal: n}}, {record.MsgWithdraw, record.Withdraw{Slot: lease.Slot, Claim: record.ClaimIDOf(n)}},
			{record.MsgAnswer, record.Answer{Slot: lease.Slot, Epoch: n, Claim: record.ClaimIDOf(n), Verdict: record.Stale, Seen: n}}, {record.MsgAck, record.Ack{Slot: lease.Slot, Epoch: n}},
		} {
			h.Do(func(now core.Time) { _ = h.Core.Receive(now, sim.MessageFrom(stranger, h.Core, m.kind, m.body)) })
		}
		w.Run(5 * time.Second)
		for _, o := range w.Hosts[:3] {
			if s, ok := o.Holding(); !ok || w.Hosts[0].Core.Inside().Table().Leases[s].Rec.Holder != o.ID {
				t.Fatalf("counter %d: %s has lost its lease\n%s", n, o.Config.Name, w.Dump())
			}
		}
		w.Hosts[3].Boot()
		w.RunUntil(10*time.Second, "a newcomer's lease", w.Hosts[3].Confirmed)
	}
}

func TestAStrangersWordAboutAnotherNodeChangesNothing(t *testing.T) {
	w := stableWorld(t, 51, 3)
	h, v, stranger := w.Hosts[0], w.Hosts[1], sim.Identity(900)
	before := h.Core.Inside().Table().Digest
	lease := h.Core.Inside().Table().HeldBy(v.ID).Rec
	free := lease
	free.Holder, free.Freed, free.Epoch, free.Granted, free.Key = record.NodeID{}, v.ID, lease.Epoch+1, lease.Epoch, stranger.Public()
	w.Hosts[2].Crash()
	w.Run(20 * time.Second) // and one that is dead
	for name, err := range map[string]error{
		"free":          said(h, stranger, record.KindLease, free),
		"forget":        said(h, stranger, record.KindForget, record.ForgetRecord{Node: v.ID, Start: 1, Key: stranger.Public()}),
		"forget a dead": said(h, stranger, record.KindForget, record.ForgetRecord{Node: w.Hosts[2].ID, Start: 1, Key: stranger.Public()}),
	} {
		if err != nil || h.Core.Inside().Table().Digest != before {
			t.Errorf("%s: error %v, table changed %v", name, err, h.Core.Inside().Table().Digest != before)
		}
	}
}

// A holder's word that a live node is dead has no effect, and costs the node
// nothing. Of a dead node it is taken. That node keeps its subnet when it is
// back before another node has it.
func TestAHolderFreesOnlyWhatADeadNodeHolds(t *testing.T) {
	w := stableWorld(t, 52, 4)
	h, v, liar := w.Hosts[0], w.Hosts[1], w.Hosts[3]
	lease := h.Core.Inside().Table().HeldBy(v.ID).Rec
	free := lease
	free.Holder, free.Freed, free.Epoch, free.Granted, free.Key = record.NodeID{}, v.ID, lease.Epoch+1, lease.Epoch, liar.Identity.Public()
	for _, o := range w.Hosts[:3] {
		if err := said(o, liar.Identity, record.KindLease, free); err != nil {
			t.Fatal(err)
		}
		if err := said(o, liar.Identity, record.KindForget, record.ForgetRecord{Node: v.ID, Start: 1, Key: liar.Identity.Public()}); err != nil {
			t.Fatal(err)
		}
	}
	if l := h.Core.Inside().Table().HeldBy(v.ID); l == nil || h.Core.Inside().Table().Nodes[v.ID] == nil {
		t.Fatal("a live node was struck out")
	}
	w.Run(20 * time.Second)
	if s, ok := v.Holding(); !ok || s != lease.Slot {
		t.Fatalf("it holds slot %d %v, had %d", s, ok, lease.Slot)
	}
	w.RunUntil(20*time.Second, "tables equal", w.TablesEqual)
}

// A lease needs the promises of others. The ones that its holder makes up do
// not count.
func TestAGrabbedLeaseIsNotBelieved(t *testing.T) {
	w := stableWorld(t, 53, 5)
	h, v, liar := w.Hosts[0], w.Hosts[1], w.Hosts[3]
	lease := h.Core.Inside().Table().HeldBy(v.ID).Rec
	grab := record.LeaseRecord{Slot: lease.Slot, Epoch: lease.Epoch + 1, Holder: liar.ID, Ordinal: lease.Ordinal, Pinned: true, Electors: 5, Promises: 5, Claim: record.ClaimIDOf(9), Key: liar.Identity.Public()}
	g := record.GrantOf(&grab)
	for _, id := range []record.Identity{liar.Identity, sim.Identity(901), sim.Identity(902), sim.Identity(903)} {
		by := id.ID()
		grab.Vouchers = append(append(grab.Vouchers, by[:]...), sim.Checksum{}.Sign(id.Key, g.Bytes(h.Core.Inside().Table().NetID))...)
	}
	for _, o := range w.Hosts[:3] {
		if err := said(o, liar.Identity, record.KindLease, grab); err != nil {
			t.Fatal(err)
		}
		if got := o.Core.Inside().Table().Leases[lease.Slot].Rec.Holder; got != v.ID {
			t.Errorf("%s believes that %s holds the slot", o.Config.Name, got.Short())
		}
	}
}

func TestNamesThatAreNotPrintableAreRefusedAtTheDoor(t *testing.T) {
	w := stableWorld(t, 54, 1)
	h, id := w.Hosts[0], sim.Identity(900)
	at := record.EndpointsOf(sim.Address(999, 8285))
	for _, name := range []string{"a\nMAINPID=1", "a\x00", "\x1b[2J", "a\u2028b", "\xff\xfe", "a\u202eb", strings.Repeat("x", 254)} {
		if err := said(h, id, record.KindNode, record.NodeRecord{Key: id.Public(), Start: 1, Name: name, Endpoints: at, GossipEndpoints: at, ProtocolMin: 2, ProtocolMax: 2}); err == nil {
			t.Errorf("name %q is taken", name)
		}
	}
	if err := said(h, id, record.KindNode, record.NodeRecord{Key: id.Public(), Start: 1, Name: "käse-1 (lab)", Endpoints: at, GossipEndpoints: at, ProtocolMin: 2, ProtocolMax: 2}); err != nil {
		t.Error(err)
	}
}

// One underlay address gets so many leases, whatever identities ask from there.
func TestOneAddressGetsOnlySoManyLeases(t *testing.T) {
	w := sim.New(t, 55, 1, nil)
	w.Hosts[0].Boot()
	w.Run(time.Second)
	c := w.Hosts[0].Core
	at := record.EndpointsOf(netip.MustParseAddrPort("172.20.0.1:8285"))
	given, told := 0, 0
	for n := range 2 * core.MaxPerAddress {
		id := sim.Identity(uint64(3000 + n))
		c.MemberUp(0, id.ID())
		if err := said(w.Hosts[0], id, record.KindNode, record.NodeRecord{Key: id.Public(), Start: 1, Endpoints: at, GossipEndpoints: at, ProtocolMin: 2, ProtocolMax: 2}); err != nil {
			t.Fatal(err)
		}
		slot := record.Slot(n + 1)
		if slot >= c.Inside().Claim().Slot {
			slot++
		}
		a := record.Answer{}
		if m := (record.Ask{Header: record.Header{From: id.ID()}, Slot: slot, Epoch: 1, Claim: record.ClaimIDOf(1), Ordinal: 2}); c.Inside().Refuse(m, &a) {
			if a.Verdict == record.Crowded && strings.Contains(a.Reason, "172.20.0.1") {
				told++
			}
		} else {
			given++
			c.Inside().Promise(m, a)
		}
	}
	if given != core.MaxPerAddress || told != core.MaxPerAddress {
		t.Errorf("%d leases promised, %d refused with the reason; want %d each", given, told, core.MaxPerAddress)
	}
}

func TestAHostThatIsSetUpAnewReplacesItsDeadSelves(t *testing.T) {
	w := sim.New(t, 56, 6, nil)
	w.BootInTurn(w.Hosts[:3])
	w.Run(5 * time.Second)
	var dead []record.NodeID
	for i := 2; i < 5; i++ { // three times over
		dead = append(dead, w.Hosts[i].ID)
		w.Hosts[i].Crash()
		w.Run(20 * time.Second)
		next := w.Hosts[i+1]
		next.TakePlaceOf(w.Hosts[i])
		next.Boot()
		w.RunUntil(30*time.Second, "the host set up anew has a lease", next.Confirmed)
		w.Run(5 * time.Second)
	}
	c, now := w.Hosts[0].Core, w.Hosts[5].ID
	if n := len(c.Inside().Electors()); n != 3 {
		t.Errorf("%d holders decide, want the 3 that are there", n)
	}
	for _, n := range c.View().Nodes {
		for _, id := range dead {
			if n.ID == id && (n.ReplacedBy != now || !n.Lease.Prefix.IsValid()) {
				t.Errorf("%s: replaced by %s, subnet %s; want %s, and that it keeps its subnet", id.Short(), n.ReplacedBy.Short(), n.Lease.Prefix, now.Short())
			}
		}
	}
}

// A member that asks for one slot after the other keeps only a few from others.
func TestOneMemberKeepsOnlyAFewSlotsFromOthers(t *testing.T) {
	w := sim.New(t, 57, 1, nil)
	w.Hosts[0].Boot()
	w.Run(time.Second)
	c, id := w.Hosts[0].Core, sim.Identity(3000)
	c.MemberUp(0, id.ID())
	for slot := record.Slot(1); slot < 256; slot++ {
		w.Hosts[0].Do(func(now core.Time) {
			_ = c.Receive(now, sim.MessageFrom(id, c, record.MsgAsk, record.Ask{Slot: slot, Epoch: 1, Claim: record.ClaimIDOf(uint64(slot)), Ordinal: 2}))
		})
		w.Run(10 * time.Millisecond)
	}
	if n := len(c.Inside().Promises()); n != core.MaxUnresolved {
		t.Errorf("%d slots are promised to it, want %d", n, core.MaxUnresolved)
	}
}
