// SPDX-License-Identifier: Apache-2.0

package core

import (
	"errors"
	"net/netip"
	"testing"

	"flanneld/peers/internal/record"
)

func TestAHolderPromisesOnlySoMuch(t *testing.T) {
	c := founder(t, record.Network{Prefix: netip.MustParsePrefix("10.0.0.0/8"), SubnetLen: 26})
	c.Effects()
	own := c.claim.slot
	ask := func(n int) {
		from := testIdentity(uint64(n) + 10)
		c.MemberUp(0, from.ID())
		c.newcomers = tokens{}
		s := record.Slot(n + 1)
		if s >= own {
			s++
		}
		if err := c.Receive(0, messageFrom(from, c, record.MsgAsk, record.Ask{Slot: s, Epoch: 1, Ordinal: 2})); err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxPromises + 10 {
		ask(i)
	}
	e := c.Effects()
	if n := len(c.ledger.promises); n != maxPromises {
		t.Errorf("%d promises, want %d", n, maxPromises)
	}
	if n := len(e.Save.Durable); n > 1<<20 {
		t.Errorf("a durable state of %d bytes, want at most 1 MB", n)
	}
	if n := len(e.Sends); n != 10 {
		t.Errorf("%d answers without a promise, want 10 that abstain", n)
	}
}

func TestADurableStateHoldsOnlySoManyLeases(t *testing.T) {
	c := founder(t, record.Network{Prefix: netip.MustParsePrefix("10.0.0.0/8"), SubnetLen: 26})
	for n := range maxPromises {
		l := record.LeaseRecord{Slot: record.Slot(n + 1), Epoch: 1 << 32, Holder: testIdentity(uint64(n)).ID(), Key: testIdentity(uint64(n)).Public()}
		if _, err := c.table.Take(testIdentity(uint64(n)).Seal(c.cfg.Signer, c.table.NetID, record.KindLease, l), nil); err != nil {
			t.Fatal(err)
		}
	}
	c.save(nil)
	encoded := c.Effects().Save.Durable
	if n := len(encoded); n > 1<<20 {
		t.Errorf("a durable state of %d bytes, want at most 1 MB", n)
	}
	v, err := decodeDurable(encoded)
	if err != nil || len(v.Leases) != maxPromises {
		t.Errorf("%d leases, want %d: %v", len(v.Leases), maxPromises, err)
	}
}

func TestConflictsAreListedOnlySoFar(t *testing.T) {
	c := fuzzCore(t)
	loser := testIdentity(2).ID()
	for i := range 2 * maxConflicts {
		c.noteConflict(&record.LeaseRecord{Slot: record.Slot(i)}, &record.LeaseRecord{Slot: record.Slot(i), Holder: loser})
	}
	if n := len(c.conflicts); n != maxConflicts {
		t.Errorf("%d conflicts kept, want %d", n, maxConflicts)
	}
}

func TestMessagesLongerThanAllowedAreDropped(t *testing.T) {
	c := fuzzCore(t)
	if err := c.Receive(0, append([]byte{record.MessageVersion, byte(record.MsgRecords)}, make([]byte, record.MaxMessageLen)...)); !errors.Is(err, record.ErrMalformed) {
		t.Errorf("error %v", err)
	}
	many := make([]Promise, maxPromises+1)
	for _, v := range []durable{{Promises: many}, {Leases: many}} {
		if _, err := decodeDurable(record.Encode(v)); err == nil {
			t.Error("a durable state with too many promises or leases was read")
		}
	}
}
