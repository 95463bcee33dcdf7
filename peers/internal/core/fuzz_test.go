// SPDX-License-Identifier: Apache-2.0

package core

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"flanneld/peers/internal/record"
)

// fuzzCore is a confirmed founder, and a member that it sees alive.
func fuzzCore(t testing.TB) *Core { return founder(t, record.Network{}) }

// founder is a confirmed founder of a network.
func founder(t testing.TB, want record.Network) *Core {
	c, err := New(Config{
		Identity: testIdentity(1), Instance: 1, Name: "one", MayFound: true, Want: want, LeaseTTL: 1 << 40,
		Endpoint: netip.MustParseAddrPort("192.0.2.1:8285"), Gossip: netip.MustParseAddrPort("192.0.2.1:8286"),
		Rand: rand.New(rand.NewPCG(1, 1)),
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Start(0)
	c.Approve(0)
	c.Saved(0, c.Effects().Save.Token, nil)
	c.MemberUp(0, testIdentity(2).ID())
	return c
}

func seedMessages(c *Core) [][]byte {
	raw := c.table.Records(1<<record.Parts - 1)
	from := testIdentity(2)
	return [][]byte{
		messageFrom(from, c, record.MsgAsk, record.Ask{Slot: 7, Epoch: 1, Claim: record.ClaimIDOf(1), Ordinal: 2}),
		messageFrom(from, c, record.MsgAnswer, record.Answer{Slot: 7, Epoch: 1, Verdict: record.Held, Lease: raw[0]}),
		messageFrom(from, c, record.MsgWithdraw, record.Withdraw{Slot: 7, Claim: record.ClaimIDOf(1)}),
		messageFrom(from, c, record.MsgRecords, record.Records{Records: raw, Mask: 5, AckSlot: 7}),
		messageFrom(from, c, record.MsgAck, record.Ack{Slot: 7, Epoch: 1}),
		messageFrom(from, c, record.MsgDigest, record.DigestMessage{Parts: c.table.Digest.Bytes()}),
		record.EncodeRumor(raw[0]),
	}
}

// Whatever a member sends, the node does not crash and keeps its own lease.
func FuzzReceive(f *testing.F) {
	for _, m := range seedMessages(fuzzCore(f)) {
		f.Add(m)
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		c := fuzzCore(t)
		_ = c.Receive(1, msg)
		c.Tick(2)
		if c.View().Lease != LeaseConfirmed {
			t.Fatal("an unsigned message took our lease away")
		}
	})
}

func FuzzMerge(f *testing.F) {
	c := fuzzCore(f)
	f.Add(c.State())
	f.Fuzz(func(t *testing.T, encoded []byte) {
		c := fuzzCore(t)
		_ = c.Merge(1, testIdentity(2).ID(), encoded)
		joiner, err := New(Config{Identity: testIdentity(3), Endpoint: netip.MustParseAddrPort("192.0.2.3:8285"),
			Gossip: netip.MustParseAddrPort("192.0.2.3:8286"), Rand: rand.New(rand.NewPCG(1, 1))}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		joiner.Start(0)
		_ = joiner.Merge(1, testIdentity(1).ID(), encoded)
		joiner.Approve(1)
		joiner.Joined(1)
		joiner.Tick(2)
		if s, err := record.DecodeState(encoded); err == nil && s.Network.Slots() == 0 {
			t.Fatal("a network without slots was accepted")
		}
	})
}

func FuzzDurable(f *testing.F) {
	f.Add(record.Encode(fuzzCore(f).durable))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		c, err := New(Config{Identity: testIdentity(1), Endpoint: netip.MustParseAddrPort("192.0.2.1:8285"),
			Gossip: netip.MustParseAddrPort("192.0.2.1:8286"), Rand: rand.New(rand.NewPCG(1, 1))}, encoded, nil)
		if err != nil {
			return
		}
		c.Start(0)
		if s := c.Effects().Save; s == nil {
			t.Fatal("a start was not written")
		} else {
			c.Saved(0, s.Token, nil)
		}
		c.Tick(1)
		_ = c.View()
	})
}

func FuzzReset(f *testing.F) {
	id := testIdentity(1).ID()
	n, _ := record.Network{}.WithDefaults()
	f.Add(record.Encode(durable{}), []byte(nil))
	f.Add(record.Encode(durable{Network: n, Slot: 7, Leases: []Promise{{Slot: 9, Epoch: 1, Claimant: testIdentity(2).ID()}}}), record.Encode(record.State{Network: n}))
	f.Add(record.Encode(durable{Network: n, Slot: 1 << 30, Wishes: []wish{{Node: id}}}), []byte{0xff})
	f.Fuzz(func(t *testing.T, durable, table []byte) {
		after, given, err := Reset(id, durable, table)
		if err != nil {
			return
		}
		v, err := decodeDurable(after)
		if err != nil || v.Network.Prefix.IsValid() || len(v.Lease) > 0 || len(v.Promises) > 0 {
			t.Fatalf("left %+v, %v", v, err)
		}
		if given.Others > maxPromises {
			t.Fatalf("%d others", given.Others)
		}
	})
}
