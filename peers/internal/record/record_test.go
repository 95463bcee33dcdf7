// SPDX-License-Identifier: Apache-2.0

package record

import (
	"net/netip"
	"testing"
)

// someTable is a table with a node and its lease.
func someTable(t testing.TB) *Table {
	n := testNetwork(t)
	tab, id := NewTable(n, false, Ed25519{}), testIdentity(1)
	for kind, rec := range map[Kind]any{
		KindNode: NodeRecord{Key: id.Public(), Start: 1, Version: 1, Name: "one", ProtocolMin: 2, ProtocolMax: 2,
			Endpoints:       EndpointsOf(netip.MustParseAddrPort("192.0.2.1:8285")),
			GossipEndpoints: EndpointsOf(netip.MustParseAddrPort("192.0.2.1:8286"))},
		KindLease: LeaseRecord{Slot: 7, Epoch: 1, Holder: id.ID(), Ordinal: 1, Key: id.Public()},
	} {
		if c, err := tab.Take(id.Seal(Ed25519{}, n.ID(), kind, rec), nil); err != nil || !c.Any() {
			t.Fatalf("a record of kind %d is not taken: %v", kind, err)
		}
	}
	return tab
}

func FuzzRecord(f *testing.F) {
	for _, raw := range someTable(f).Records(1<<Parts - 1) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		tab := someTable(t)
		before := len(tab.Records(1<<Parts - 1))
		ch, err := tab.Take(raw, nil)
		if err != nil && (ch.Any() || len(tab.Records(1<<Parts-1)) != before) {
			t.Fatal("a refused record changed the table")
		}
	})
}
