// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"bytes"
	"testing"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/core/sim"
	"flanneld/peers/internal/record"
)

// The next version reads and writes messages of one version more. Each pair of
// nodes uses the highest that both read, and the network is one.
func TestNodesOfTheNextVersionAndOfThisOneAreOneNetwork(t *testing.T) {
	const nextVersion = record.MessageVersionMax + 1
	for seed := range uint64(8) {
		w := sim.New(t, seed, 6, func(i int, c *core.Config) {
			if i%2 == int(seed%2) {
				c.MaxVersion = nextVersion
			}
		})
		used := map[byte]int{}
		w.OnSend = func(from, to *sim.Host, msg []byte) {
			both := min(max(from.Config.MaxVersion, record.MessageVersionMax), max(to.Config.MaxVersion, record.MessageVersionMax))
			if record.MessageKind(msg[1]) == record.MsgRumor {
				return
			}
			if msg[0] > both {
				t.Fatalf("%s sends version %d to %s, which reads up to %d", from.Config.Name, msg[0], to.Config.Name, both)
			}
			used[msg[0]]++
		}
		w.BootInTurn(w.Hosts)
		w.RunUntil(20*time.Second, "tables equal", w.TablesEqual)
		w.Run(20 * time.Second)
		if used[record.MessageVersionMax] == 0 || used[nextVersion] == 0 {
			t.Errorf("messages by version: %v; want both in use", used)
		}
	}
}

// What a later version adds to a record is kept and passed on by this one.
func TestRecordsOfTheNextVersionPassThroughThisOne(t *testing.T) {
	w := sim.New(t, 60, 3, nil)
	w.BootInTurn(w.Hosts[:2])
	id := sim.Identity(900)
	type later struct {
		record.NodeRecord
		Color string `cbor:"99,keyasint"`
	}
	at := record.EndpointsOf(sim.Address(999, 8285))
	rec := later{record.NodeRecord{Key: id.Public(), Start: 1, Endpoints: at, GossipEndpoints: at, ProtocolMin: 2, ProtocolMax: 3}, "green"}
	raw := id.Seal(sim.Checksum{}, w.Hosts[0].Core.Inside().Table().NetID, record.KindNode, rec)
	w.Hosts[0].Do(func(now core.Time) {
		if err := w.Hosts[0].Core.Receive(now, record.EncodeRumor(raw)); err != nil {
			t.Fatal(err)
		}
	})
	w.RunUntil(20*time.Second, "the record is everywhere, as it was written", func() bool {
		n := w.Hosts[1].Core.Inside().Table().Nodes[id.ID()]
		return n != nil && bytes.Equal(n.Raw, raw)
	})
}
