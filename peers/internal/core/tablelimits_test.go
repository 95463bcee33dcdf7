package core

import (
	"errors"
	"net/netip"
	"testing"
)

// wide is a network with more slots than a table takes.
func wide(t *testing.T) Network {
	n, err := Network{Prefix: netip.MustParsePrefix("10.0.0.0/8"), SubnetLen: 26}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestATableTakesOnlySoMuch(t *testing.T) {
	at := netip.MustParseAddrPort("192.0.2.1:8285")
	for name, c := range map[string]struct {
		limit int
		make  func(net NetworkID, n int) []byte
	}{
		"nodes": {maxNodes, func(net NetworkID, n int) []byte {
			k := someKey(n)
			return k.seal(testSigner{}, net, kindNode, NodeRecord{Key: k.Public(), Start: 1, Endpoints: endpointsOf(at), GossipEndpoints: endpointsOf(at), ProtocolMin: 2, ProtocolMax: 2})
		}},
		"forgets": {maxForgets, func(net NetworkID, n int) []byte {
			return someKey(0).seal(testSigner{}, net, kindForget, ForgetRecord{Node: someKey(n).ID(), Start: 1, Key: someKey(0).Public()})
		}},
		"leases": {maxLeases, func(net NetworkID, n int) []byte {
			return someKey(0).seal(testSigner{}, net, kindLease, LeaseRecord{Slot: Slot(n + 1), Epoch: 1, Freed: someKey(0).ID(), Key: someKey(0).Public()})
		}},
	} {
		tab := newTable(wide(t), false, testSigner{})
		for i := range c.limit {
			if ch, err := tab.take(c.make(tab.netID, i), nil); err != nil || !ch.any() {
				t.Fatalf("%s: record %d of %d not taken: %v", name, i, c.limit, err)
			}
		}
		if ch, err := tab.take(c.make(tab.netID, c.limit), nil); !errors.Is(err, errTableFull) || ch.any() {
			t.Errorf("%s: one more than %d is taken: %v", name, c.limit, err)
		}
		if ch, err := tab.take(c.make(tab.netID, 0), nil); err != nil || ch.any() {
			t.Errorf("%s: a record that is known is refused by a full table: %v", name, err)
		}
	}
}
