package core

import (
	"errors"
	"net/netip"
	"testing"
)

func TestAHolderPromisesOnlySoMuch(t *testing.T) {
	w := newWorld(t, 30, 1, func(_ int, c *Config) {
		c.Want = Network{Prefix: netip.MustParsePrefix("10.0.0.0/8"), SubnetLen: 26}
	})
	h := w.hosts[0]
	h.boot()
	w.run(1e9)
	c := h.core
	own := c.claim.slot
	ask := func(n int) {
		c.MemberUp(0, someKey(n).ID())
		c.newcomers = tokens{}
		s := Slot(n + 1)
		if s >= own {
			s++
		}
		if err := c.Receive(0, messageFrom(someKey(n), c, msgAsk, ask{Slot: s, Epoch: 1, Ordinal: 2})); err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxPromises + 10 {
		ask(i)
	}
	e := c.Effects()
	if n := len(c.vault.Promises); n != maxPromises {
		t.Errorf("%d promises, want %d", n, maxPromises)
	}
	if n := len(e.Save.Vault); n > 1<<20 {
		t.Errorf("a vault of %d bytes, want at most 1 MB", n)
	}
	if n := len(e.Sends); n != 10 {
		t.Errorf("%d answers without a promise, want 10 that abstain", n)
	}
}

func TestAVaultHoldsOnlySoManyLeases(t *testing.T) {
	w := newWorld(t, 31, 1, func(_ int, c *Config) {
		c.Want = Network{Prefix: netip.MustParsePrefix("10.0.0.0/8"), SubnetLen: 26}
	})
	w.hosts[0].boot()
	w.run(1e9)
	c := w.hosts[0].core
	for n := range maxPromises {
		l := LeaseRecord{Slot: Slot(n + 1), Epoch: 1 << 32, Holder: someKey(n).ID(), Key: someKey(n).Public()}
		if _, err := c.table.take(someKey(n).seal(c.cfg.signer, c.table.netID, kindLease, l), nil); err != nil {
			t.Fatal(err)
		}
	}
	c.save(nil)
	encoded := c.Effects().Save.Vault
	if n := len(encoded); n > 1<<20 {
		t.Errorf("a vault of %d bytes, want at most 1 MB", n)
	}
	v, err := decodeVault(encoded)
	if err != nil || len(v.Leases) != maxPromises {
		t.Errorf("%d leases, want %d: %v", len(v.Leases), maxPromises, err)
	}
}

func TestConflictsAreListedOnlySoFar(t *testing.T) {
	c := fuzzCore(t)
	loser := testIdentity(2).ID()
	for i := range 2 * maxConflicts {
		c.noteConflict(&LeaseRecord{Slot: Slot(i)}, &LeaseRecord{Slot: Slot(i), Holder: loser})
	}
	if n := len(c.conflict); n != maxConflicts {
		t.Errorf("%d conflicts kept, want %d", n, maxConflicts)
	}
}

func TestMessagesLongerThanAllowedAreDropped(t *testing.T) {
	c := fuzzCore(t)
	if err := c.Receive(0, append([]byte{messageVersion, byte(msgRecords)}, make([]byte, maxMessageLen)...)); !errors.Is(err, ErrMalformed) {
		t.Errorf("error %v", err)
	}
	many := make([]promise, maxPromises+1)
	for _, v := range []vault{{Promises: many}, {Leases: many}} {
		if _, err := decodeVault(mustEncode(v)); err == nil {
			t.Error("a vault with too many promises or leases was read")
		}
	}
}
