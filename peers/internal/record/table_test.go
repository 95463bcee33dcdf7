// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// anyRecord draws a record of few nodes and slots, so that many compete.
func anyRecord(t *rapid.T, net NetworkID) []byte {
	node := testIdentity(rapid.Uint64Range(1, 4).Draw(t, "node"))
	small := func(name string) uint64 { return rapid.Uint64Range(1, 3).Draw(t, name) }
	switch rapid.IntRange(0, 2).Draw(t, "kind") {
	case 0:
		e := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(small("addr"))}), 8285)
		return node.Seal(Ed25519{}, net, KindNode, NodeRecord{Key: node.Public(), Start: small("start"), Version: small("version"), Endpoints: EndpointsOf(e), GossipEndpoints: EndpointsOf(e), ProtocolMin: 2, ProtocolMax: 2})
	case 1:
		r := LeaseRecord{Slot: Slot(small("slot")), Epoch: small("epoch"), Ordinal: small("ordinal"), Key: node.Public(), Pinned: rapid.Bool().Draw(t, "pinned")}
		if rapid.Bool().Draw(t, "held") {
			r.Holder = node.ID()
		} else {
			r.Freed = testIdentity(small("freed")).ID()
		}
		return node.Seal(Ed25519{}, net, KindLease, r)
	}
	return node.Seal(Ed25519{}, net, KindForget, ForgetRecord{Node: testIdentity(small("forgotten")).ID(), Start: small("start"), Key: node.Public()})
}

func TestMergingRecordsGivesTheSameTableInAnyOrder(t *testing.T) {
	n := testNetwork(t)
	rapid.Check(t, func(t *rapid.T) {
		recs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) []byte { return anyRecord(t, n.ID()) }), 1, 20).Draw(t, "records")
		one, two := NewTable(n, false, Ed25519{}), NewTable(n, false, Ed25519{})
		for _, r := range recs {
			if _, err := one.Take(r, nil); err != nil {
				t.Fatal(err)
			}
		}
		again := append(rapid.Permutation(recs).Draw(t, "order"), recs[0]) // and one record twice
		for _, r := range again {
			if _, err := two.Take(r, nil); err != nil {
				t.Fatal(err)
			}
		}
		a, b := one.Records(1<<Parts-1), two.Records(1<<Parts-1)
		if !bytes.Equal(bytes.Join(a, nil), bytes.Join(b, nil)) {
			t.Fatalf("%d and %d records differ by the order they came in", len(a), len(b))
		}
		if one.Digest != two.Digest {
			t.Fatal("digests of equal tables differ")
		}
	})
}

func TestARecordNotSignedByWhomItNamesIsRefused(t *testing.T) {
	n := testNetwork(t)
	tab := NewTable(n, false, Ed25519{})
	mallory, alice := testIdentity(1), testIdentity(2)
	e := netip.MustParseAddrPort("192.0.2.1:8285")
	for name, raw := range map[string][]byte{
		"node record of another":         mallory.Seal(Ed25519{}, n.ID(), KindNode, NodeRecord{Key: alice.Public(), Start: 1, Endpoints: EndpointsOf(e), GossipEndpoints: EndpointsOf(e), ProtocolMin: 2, ProtocolMax: 2}),
		"lease for another":              mallory.Seal(Ed25519{}, n.ID(), KindLease, LeaseRecord{Slot: 1, Epoch: 1, Holder: alice.ID(), Key: alice.Public()}),
		"lease with another's ID":        mallory.Seal(Ed25519{}, n.ID(), KindLease, LeaseRecord{Slot: 1, Epoch: 1, Holder: alice.ID(), Key: mallory.Public()}),
		"record of another network":      alice.Seal(Ed25519{}, NetworkID{1}, KindNode, NodeRecord{Key: alice.Public(), Start: 1, Endpoints: EndpointsOf(e), GossipEndpoints: EndpointsOf(e), ProtocolMin: 2, ProtocolMax: 2}),
		"slot outside the network":       alice.Seal(Ed25519{}, n.ID(), KindLease, LeaseRecord{Slot: 256, Epoch: 1, Holder: alice.ID(), Key: alice.Public()}),
		"the first slot without a pin":   alice.Seal(Ed25519{}, n.ID(), KindLease, LeaseRecord{Slot: 0, Epoch: 1, Holder: alice.ID(), Key: alice.Public()}),
		"lease granted by a minority":    alice.Seal(Ed25519{}, n.ID(), KindLease, LeaseRecord{Slot: 1, Epoch: 1, Holder: alice.ID(), Key: alice.Public(), Electors: 9, Promises: 3}),
		"endpoint inside the overlay":    alice.Seal(Ed25519{}, n.ID(), KindNode, NodeRecord{Key: alice.Public(), Start: 1, GossipEndpoints: EndpointsOf(e), Endpoints: EndpointsOf(netip.MustParseAddrPort("10.244.3.1:8285")), ProtocolMin: 2, ProtocolMax: 2}),
		"endpoint on loopback":           alice.Seal(Ed25519{}, n.ID(), KindNode, NodeRecord{Key: alice.Public(), Start: 1, GossipEndpoints: EndpointsOf(e), Endpoints: EndpointsOf(netip.MustParseAddrPort("127.0.0.1:8285")), ProtocolMin: 2, ProtocolMax: 2}),
		"multicast endpoint":             alice.Seal(Ed25519{}, n.ID(), KindNode, NodeRecord{Key: alice.Public(), Start: 1, GossipEndpoints: EndpointsOf(e), Endpoints: EndpointsOf(netip.MustParseAddrPort("224.0.0.1:8285")), ProtocolMin: 2, ProtocolMax: 2}),
		"name longer than any host name": alice.Seal(Ed25519{}, n.ID(), KindNode, NodeRecord{Key: alice.Public(), Start: 1, GossipEndpoints: EndpointsOf(e), Endpoints: EndpointsOf(e), Name: strings.Repeat("x", 254), ProtocolMin: 2, ProtocolMax: 2}),
		"record longer than a datagram":  alice.Seal(Ed25519{}, n.ID(), KindNode, NodeRecord{Key: alice.Public(), Start: 1, GossipEndpoints: EndpointsOf(e), Endpoints: EndpointsOf(e), Name: strings.Repeat("x", 2000), ProtocolMin: 2, ProtocolMax: 2}),
	} {
		if c, err := tab.Take(raw, nil); err == nil || c.Any() {
			t.Errorf("%s: taken (error %v)", name, err)
		}
	}
}

func TestFieldsOfALaterVersionAreCarried(t *testing.T) {
	n := testNetwork(t)
	id := testIdentity(1)
	type later struct {
		NodeRecord
		Color string `cbor:"99,keyasint"`
	}
	e := netip.MustParseAddrPort("192.0.2.1:8285")
	raw := id.Seal(Ed25519{}, n.ID(), KindNode, later{NodeRecord{Key: id.Public(), Start: 1, Endpoints: EndpointsOf(e), GossipEndpoints: EndpointsOf(e), ProtocolMin: 2, ProtocolMax: 2}, "green"})
	tab := NewTable(n, false, Ed25519{})
	if c, err := tab.Take(raw, nil); err != nil || c.Node == nil {
		t.Fatalf("take = %+v, %v", c, err)
	}
	if got := tab.Records(1<<Parts - 1); len(got) != 1 || !bytes.Equal(got[0], raw) {
		t.Error("the record was not kept in its writer's bytes")
	}
}

func TestSlotsAndSubnetsCorrespond(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.IntRange(8, 28).Draw(t, "bits")
		length := rapid.IntRange(bits+2, min(30, bits+16)).Draw(t, "length")
		n, err := Network{Prefix: netip.PrefixFrom(netip.MustParseAddr("10.0.0.0"), bits), SubnetLen: uint8(length)}.WithDefaults()
		if err != nil {
			t.Fatal(err)
		}
		s := Slot(rapid.Uint32Range(0, uint32(n.Slots()-1)).Draw(t, "slot"))
		p := n.SubnetOf(s)
		if got, ok := n.SlotOf(p); !ok || got != s || !n.Prefix.Contains(p.Addr()) {
			t.Fatalf("SlotOf(SubnetOf(%d) = %s) = %d, %v", s, p, got, ok)
		}
	})
}

func TestNetworkParametersThatDoNotFitAreNamed(t *testing.T) {
	for text, n := range map[string]Network{
		"at least four subnets": {Prefix: netip.MustParsePrefix("10.0.0.0/23"), SubnetLen: 24},
		"at most 30":            {Prefix: netip.MustParsePrefix("10.0.0.0/24"), SubnetLen: 31},
		"smallest subnet":       {Prefix: netip.MustParsePrefix("10.0.0.0/16"), SubnetMin: netip.MustParseAddr("10.1.0.0")},
		"largest subnet":        {Prefix: netip.MustParsePrefix("10.0.0.0/16"), SubnetMax: netip.MustParseAddr("10.0.7.3")},
		"above the largest":     {Prefix: netip.MustParsePrefix("10.0.0.0/16"), SubnetMin: netip.MustParseAddr("10.0.9.0"), SubnetMax: netip.MustParseAddr("10.0.8.0")},
		"not an IPv4 network":   {Prefix: netip.MustParsePrefix("10.0.0.1/16")},
	} {
		if _, err := n.WithDefaults(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%+v: error %v, want one with %q", n, err, text)
		}
	}
}
