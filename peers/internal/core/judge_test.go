package core

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"flanneld/peers/internal/record"
)

// settledWorld has some holders that have known each other for a while.
func settledWorld(t *testing.T, seed uint64, n int) *world {
	w := newWorld(t, seed, n+1, nil)
	w.bootInTurn(w.hosts[:n])
	w.runUntil(20*time.Second, "tables equal", w.tablesEqual)
	w.run(2 * SettledIn)
	return w
}

// said hands a host a record, signed by an identity, as a rumour.
func said(h *host, by record.Identity, kind record.Kind, rec any) (err error) {
	raw := by.Seal(testSigner{}, h.core.Inside().Table().NetID, kind, rec)
	h.do(func(now Time) { err = h.core.Receive(now, record.EncodeRumour(raw)) })
	return err
}

// Every counter that a stranger can write is tried at its ends, in every record
// and message. No lease ends, and the next claim goes through.
func TestNoCounterThatAStrangerWritesEndsOrBurnsALease(t *testing.T) {
	stranger := simIdentity(900)
	for _, n := range []uint64{0, 1, 2, MaxJump - 1, MaxJump, MaxJump + 1, record.MaxCounter - 1, record.MaxCounter, record.MaxCounter + 1, 1<<63 - 1, 1<<64 - 2, 1<<64 - 1} {
		w := settledWorld(t, 50, 3)
		h, v := w.hosts[0], w.hosts[1]
		lease := h.core.Inside().Table().HeldBy(v.id).Rec
		at := record.EndpointsOf(addressOf(999, 8285))
		for slot := record.Slot(1); slot < 256; slot++ {
			for _, writer := range []record.NodeID{v.id, stranger.ID()} {
				_ = said(h, stranger, record.KindLease, record.LeaseRecord{Slot: slot, Epoch: n, Freed: writer, Ordinal: n, Claim: record.ClaimIDOf(n), Granted: n - 1, Key: stranger.Public()})
			}
			_ = said(h, stranger, record.KindLease, record.LeaseRecord{Slot: slot, Epoch: n, Holder: stranger.ID(), Ordinal: n, Claim: record.ClaimIDOf(n), Key: stranger.Public()})
		}
		_ = said(h, stranger, record.KindForget, record.ForgetRecord{Node: v.id, Start: n, Key: stranger.Public()})
		_ = said(h, stranger, record.KindNode, record.NodeRecord{Key: stranger.Public(), Start: n, Version: n, Endpoints: at, GossipEndpoints: at, ProtocolMin: 2, ProtocolMax: 2})
		for _, m := range []struct {
			kind record.MessageKind
			body any
		}{
			{record.MsgAsk, record.Ask{Slot: lease.Slot, Epoch: n, Claim: record.ClaimIDOf(n), Ordinal: n}}, {record.MsgWithdraw, record.Withdraw{Slot: lease.Slot, Claim: record.ClaimIDOf(n)}},
			{record.MsgAnswer, record.Answer{Slot: lease.Slot, Epoch: n, Claim: record.ClaimIDOf(n), Verdict: record.Stale, Seen: n}}, {record.MsgAck, record.Ack{Slot: lease.Slot, Epoch: n}},
		} {
			h.do(func(now Time) { _ = h.core.Receive(now, simMessage(stranger, h.core, m.kind, m.body)) })
		}
		w.run(5 * time.Second)
		for _, o := range w.hosts[:3] {
			if s, ok := o.holding(); !ok || w.hosts[0].core.Inside().Table().Leases[s].Rec.Holder != o.id {
				t.Fatalf("counter %d: %s has lost its lease\n%s", n, o.config.Name, w.dump())
			}
		}
		w.hosts[3].boot()
		w.runUntil(10*time.Second, "a newcomer's lease", w.hosts[3].confirmed)
	}
}

func TestAStrangersWordAboutAnotherNodeChangesNothing(t *testing.T) {
	w := settledWorld(t, 51, 3)
	h, v, stranger := w.hosts[0], w.hosts[1], simIdentity(900)
	before := h.core.Inside().Table().Digest
	lease := h.core.Inside().Table().HeldBy(v.id).Rec
	free := lease
	free.Holder, free.Freed, free.Epoch, free.Granted, free.Key = record.NodeID{}, v.id, lease.Epoch+1, lease.Epoch, stranger.Public()
	w.hosts[2].crash()
	w.run(20 * time.Second) // and one that is dead
	for name, err := range map[string]error{
		"free":          said(h, stranger, record.KindLease, free),
		"forget":        said(h, stranger, record.KindForget, record.ForgetRecord{Node: v.id, Start: 1, Key: stranger.Public()}),
		"forget a dead": said(h, stranger, record.KindForget, record.ForgetRecord{Node: w.hosts[2].id, Start: 1, Key: stranger.Public()}),
	} {
		if err != nil || h.core.Inside().Table().Digest != before {
			t.Errorf("%s: error %v, table changed %v", name, err, h.core.Inside().Table().Digest != before)
		}
	}
}

// A holder's word that a live node is dead has no effect, and costs the node
// nothing. Of a dead node it is taken. That node keeps its subnet when it is
// back before another node has it.
func TestAHolderFreesOnlyWhatADeadNodeHolds(t *testing.T) {
	w := settledWorld(t, 52, 4)
	h, v, liar := w.hosts[0], w.hosts[1], w.hosts[3]
	lease := h.core.Inside().Table().HeldBy(v.id).Rec
	free := lease
	free.Holder, free.Freed, free.Epoch, free.Granted, free.Key = record.NodeID{}, v.id, lease.Epoch+1, lease.Epoch, liar.identity.Public()
	for _, o := range w.hosts[:3] {
		if err := said(o, liar.identity, record.KindLease, free); err != nil {
			t.Fatal(err)
		}
		if err := said(o, liar.identity, record.KindForget, record.ForgetRecord{Node: v.id, Start: 1, Key: liar.identity.Public()}); err != nil {
			t.Fatal(err)
		}
	}
	if l := h.core.Inside().Table().HeldBy(v.id); l == nil || h.core.Inside().Table().Nodes[v.id] == nil {
		t.Fatal("a live node was struck out")
	}
	w.run(20 * time.Second)
	if s, ok := v.holding(); !ok || s != lease.Slot {
		t.Fatalf("it holds slot %d %v, had %d", s, ok, lease.Slot)
	}
	w.runUntil(20*time.Second, "tables equal", w.tablesEqual)
}

// A lease needs the promises of others, and not those that its holder makes up.
func TestAGrabbedLeaseIsNotBelieved(t *testing.T) {
	w := settledWorld(t, 53, 5)
	h, v, liar := w.hosts[0], w.hosts[1], w.hosts[3]
	lease := h.core.Inside().Table().HeldBy(v.id).Rec
	grab := record.LeaseRecord{Slot: lease.Slot, Epoch: lease.Epoch + 1, Holder: liar.id, Ordinal: lease.Ordinal, Pinned: true, Electors: 5, Promises: 5, Claim: record.ClaimIDOf(9), Key: liar.identity.Public()}
	g := record.GrantOf(&grab)
	for _, id := range []record.Identity{liar.identity, simIdentity(901), simIdentity(902), simIdentity(903)} {
		by := id.ID()
		grab.Vouchers = append(append(grab.Vouchers, by[:]...), testSigner{}.Sign(id.Key, g.Bytes(h.core.Inside().Table().NetID))...)
	}
	for _, o := range w.hosts[:3] {
		if err := said(o, liar.identity, record.KindLease, grab); err != nil {
			t.Fatal(err)
		}
		if got := o.core.Inside().Table().Leases[lease.Slot].Rec.Holder; got != v.id {
			t.Errorf("%s believes that %s holds the slot", o.config.Name, got.Short())
		}
	}
}

func TestNamesThatAreNotPrintableAreRefusedAtTheDoor(t *testing.T) {
	w := settledWorld(t, 54, 1)
	h, id := w.hosts[0], simIdentity(900)
	at := record.EndpointsOf(addressOf(999, 8285))
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
	w := newWorld(t, 55, 1, nil)
	w.hosts[0].boot()
	w.run(time.Second)
	c := w.hosts[0].core
	at := record.EndpointsOf(netip.MustParseAddrPort("172.20.0.1:8285"))
	given, told := 0, 0
	for n := range 2 * MaxPerAddress {
		id := simIdentity(uint64(3000 + n))
		c.MemberUp(0, id.ID())
		if err := said(w.hosts[0], id, record.KindNode, record.NodeRecord{Key: id.Public(), Start: 1, Endpoints: at, GossipEndpoints: at, ProtocolMin: 2, ProtocolMax: 2}); err != nil {
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
	if given != MaxPerAddress || told != MaxPerAddress {
		t.Errorf("%d leases promised, %d refused with the reason; want %d each", given, told, MaxPerAddress)
	}
}

func TestAHostThatIsSetUpAnewReplacesItsDeadSelves(t *testing.T) {
	w := newWorld(t, 56, 6, nil)
	w.bootInTurn(w.hosts[:3])
	w.run(5 * time.Second)
	place, dead := w.hosts[2].config, []record.NodeID{}
	for i := 2; i < 5; i++ { // three times over
		dead = append(dead, w.hosts[i].id)
		w.hosts[i].crash()
		w.run(20 * time.Second)
		next := w.hosts[i+1]
		w.places[next.place], next.place = nil, w.hosts[i].place
		w.places[next.place] = next
		next.config.Endpoint, next.config.Gossip = place.Endpoint, place.Gossip
		next.boot()
		w.runUntil(30*time.Second, "the host set up anew has a lease", next.confirmed)
		w.run(5 * time.Second)
	}
	c, now := w.hosts[0].core, w.hosts[5].id
	if n := len(c.Inside().Electors()); n != 3 {
		t.Errorf("%d holders decide, want the 3 that are there", n)
	}
	for _, n := range c.View().Nodes {
		for _, id := range dead {
			if n.ID == id && (n.Replaced != now || !n.Subnet.IsValid()) {
				t.Errorf("%s: replaced by %s, subnet %s; want %s, and that it keeps its subnet", id.Short(), n.Replaced.Short(), n.Subnet, now.Short())
			}
		}
	}
}

// A member that asks for one slot after the other keeps only a few from others.
func TestOneMemberKeepsOnlyAFewSlotsFromOthers(t *testing.T) {
	w := newWorld(t, 57, 1, nil)
	w.hosts[0].boot()
	w.run(time.Second)
	c, id := w.hosts[0].core, simIdentity(3000)
	c.MemberUp(0, id.ID())
	for slot := record.Slot(1); slot < 256; slot++ {
		w.hosts[0].do(func(now Time) {
			_ = c.Receive(now, simMessage(id, c, record.MsgAsk, record.Ask{Slot: slot, Epoch: 1, Claim: record.ClaimIDOf(uint64(slot)), Ordinal: 2}))
		})
		w.run(10 * time.Millisecond)
	}
	if n := len(c.Inside().Promises()); n != MaxUnsettled {
		t.Errorf("%d slots are promised to it, want %d", n, MaxUnsettled)
	}
}
