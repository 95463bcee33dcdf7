// SPDX-License-Identifier: Apache-2.0

package record

import (
	"errors"
	"net/netip"
	"testing"
)

// wide is a network with more slots than a table takes.
func wide(t *testing.T) Network {
	n, err := Network{Prefix: netip.MustParsePrefix("10.0.0.0/8"), SubnetLen: 26}.WithDefaults()
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
		"nodes": {MaxNodes, func(net NetworkID, n int) []byte {
			k := someKey(n)
			return k.Seal(checksum{}, net, KindNode, NodeRecord{Key: k.Public(), Start: 1, Endpoints: EndpointsOf(at), GossipEndpoints: EndpointsOf(at), ProtocolMin: 2, ProtocolMax: 2})
		}},
		"forgets": {MaxForgets, func(net NetworkID, n int) []byte {
			return someKey(0).Seal(checksum{}, net, KindForget, ForgetRecord{Node: someKey(n).ID(), Start: 1, Key: someKey(0).Public()})
		}},
		"leases": {MaxLeases, func(net NetworkID, n int) []byte {
			return someKey(0).Seal(checksum{}, net, KindLease, LeaseRecord{Slot: Slot(n + 1), Epoch: 1, Freed: someKey(0).ID(), Key: someKey(0).Public()})
		}},
	} {
		tab := NewTable(wide(t), false, checksum{})
		for i := range c.limit {
			if ch, err := tab.Take(c.make(tab.NetID, i), nil); err != nil || !ch.Any() {
				t.Fatalf("%s: record %d of %d not taken: %v", name, i, c.limit, err)
			}
		}
		if ch, err := tab.Take(c.make(tab.NetID, c.limit), nil); !errors.Is(err, ErrTableFull) || ch.Any() {
			t.Errorf("%s: one more than %d is taken: %v", name, c.limit, err)
		}
		if ch, err := tab.Take(c.make(tab.NetID, 0), nil); err != nil || ch.Any() {
			t.Errorf("%s: a record that is known is refused by a full table: %v", name, err)
		}
	}
}
