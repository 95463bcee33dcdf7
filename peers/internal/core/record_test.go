package core

import (
	"net/netip"
	"testing"
)

// someTable is a table with a node and its lease.
func someTable(t testing.TB) *table {
	n := testNetwork(t)
	tab, id := newTable(n, false, ed25519Signer{}), testIdentity(1)
	for kind, rec := range map[recordKind]any{
		kindNode: NodeRecord{Key: id.Public(), Start: 1, Version: 1, Name: "one", ProtocolMin: 2, ProtocolMax: 2,
			Endpoints:       endpointsOf(netip.MustParseAddrPort("192.0.2.1:8285")),
			GossipEndpoints: endpointsOf(netip.MustParseAddrPort("192.0.2.1:8286"))},
		kindLease: LeaseRecord{Slot: 7, Epoch: 1, Holder: id.ID(), Ordinal: 1, Key: id.Public()},
	} {
		if c, err := tab.take(id.seal(ed25519Signer{}, n.ID(), kind, rec), nil); err != nil || !c.any() {
			t.Fatalf("a record of kind %d is not taken: %v", kind, err)
		}
	}
	return tab
}

func FuzzRecord(f *testing.F) {
	for _, raw := range someTable(f).records(1<<buckets - 1) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		tab := someTable(t)
		before := len(tab.records(1<<buckets - 1))
		ch, err := tab.take(raw, nil)
		if err != nil && (ch.any() || len(tab.records(1<<buckets-1)) != before) {
			t.Fatal("a refused record changed the table")
		}
	})
}
