package core

import (
	"bytes"
	"testing"
	"time"

	"flanneld/peers/internal/record"
)

// The next version reads and writes messages of one version more. Each pair of
// nodes uses the highest that both read, and the network is one.
func TestNodesOfTheNextVersionAndOfThisOneAreOneNetwork(t *testing.T) {
	const nextVersion = record.MessageVersionMax + 1
	for seed := range uint64(8) {
		w := newWorld(t, seed, 6, func(i int, c *Config) {
			if i%2 == int(seed%2) {
				c.MaxVersion = nextVersion
			}
		})
		used := map[byte]int{}
		w.onSend = func(from, to *host, msg []byte) {
			both := min(max(from.config.MaxVersion, record.MessageVersionMax), max(to.config.MaxVersion, record.MessageVersionMax))
			if record.MessageKind(msg[1]) == record.MsgRumour {
				return
			}
			if msg[0] > both {
				t.Fatalf("%s sends version %d to %s, which reads up to %d", from.config.Name, msg[0], to.config.Name, both)
			}
			used[msg[0]]++
		}
		w.bootInTurn(w.hosts)
		w.runUntil(20*time.Second, "tables equal", w.tablesEqual)
		w.run(20 * time.Second)
		if used[record.MessageVersionMax] == 0 || used[nextVersion] == 0 {
			t.Errorf("messages by version: %v; want both in use", used)
		}
	}
}

// What a later version adds to a record is kept and passed on by this one.
func TestRecordsOfTheNextVersionPassThroughThisOne(t *testing.T) {
	w := newWorld(t, 60, 3, nil)
	w.bootInTurn(w.hosts[:2])
	id := simIdentity(900)
	type later struct {
		record.NodeRecord
		Colour string `cbor:"99,keyasint"`
	}
	at := record.EndpointsOf(addressOf(999, 8285))
	rec := later{record.NodeRecord{Key: id.Public(), Start: 1, Endpoints: at, GossipEndpoints: at, ProtocolMin: 2, ProtocolMax: 3}, "green"}
	raw := id.Seal(testSigner{}, w.hosts[0].core.Inside().Table().NetID, record.KindNode, rec)
	w.hosts[0].do(func(now Time) {
		if err := w.hosts[0].core.Receive(now, record.EncodeRumour(raw)); err != nil {
			t.Fatal(err)
		}
	})
	w.runUntil(20*time.Second, "the record is everywhere, as it was written", func() bool {
		n := w.hosts[1].core.Inside().Table().Nodes[id.ID()]
		return n != nil && bytes.Equal(n.Raw, raw)
	})
}
