// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func testPeer(name, endpoint string) *Peer {
	return NewPeer(name, netip.MustParseAddrPort(endpoint), 0)
}

func via(prefix string, p *Peer) Entry {
	return Entry{Prefix: netip.MustParsePrefix(prefix), Kind: Via, Peer: p}
}

// fedTable is a table with a feed of its own.
type fedTable struct {
	*Table
	feed Feed
}

func newFedTable() *fedTable {
	t := &fedTable{Table: new(Table)}
	t.feed.Add(t.Table)
	return t
}

func (t *fedTable) Store(entries []Entry) error { return t.feed.Store(entries) }

// store replaces all routes of a table, in several steps.
func (t *Table) store(entries []Entry) error {
	var next Feed
	if err := next.Store(entries); err != nil {
		return err
	}
	var gone []Change
	for _, hop := range t.load().hops.All() {
		gone = append(gone, Change{Old: hop})
	}
	t.Apply(gone)
	next.Add(t)
	return nil
}

func TestLookup(t *testing.T) {
	b, c := testPeer("b", "192.0.2.2:8285"), testPeer("c", "192.0.2.3:9000")
	table := newFedTable()
	err := table.Store([]Entry{
		{Prefix: netip.MustParsePrefix("10.244.1.0/24"), Kind: Local},
		via("10.244.2.0/24", b),
		{Prefix: netip.MustParsePrefix("10.244.3.0/24"), Kind: Unreachable, Peer: c},
	})
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]string{
		"10.244.1.9":        "10.244.1.0/24 local invalid AddrPort",
		"10.244.2.0":        "10.244.2.0/24 via b 192.0.2.2:8285",
		"10.244.2.255":      "10.244.2.0/24 via b 192.0.2.2:8285",
		"::ffff:10.244.2.7": "10.244.2.0/24 via b 192.0.2.2:8285",
		"10.244.3.1":        "10.244.3.0/24 unreachable c 192.0.2.3:9000",
	} {
		hop, ok := table.Lookup(netip.MustParseAddr(addr))
		if got := fmt.Sprint(hop.Prefix, " ", &hop, " ", hop.Endpoint); !ok || got != want {
			t.Errorf("%s: %v %s, want %s", addr, ok, got, want)
		}
	}
	for _, addr := range []string{"10.244.4.1", "192.0.2.2", "::1"} {
		if hop, ok := table.Lookup(netip.MustParseAddr(addr)); ok {
			t.Errorf("%s: found %+v", addr, hop)
		}
	}
}

func TestZeroTableIsEmpty(t *testing.T) {
	var table Table
	if _, ok := table.Lookup(netip.MustParseAddr("10.244.1.1")); ok {
		t.Error("found a route in an empty table")
	}
	if table.load().knows(netip.MustParseAddr("192.0.2.1")) {
		t.Error("an empty table knows a peer")
	}
}

func TestBadEntriesAreRefusedAndChangeNothing(t *testing.T) {
	b := testPeer("b", "192.0.2.2:8285")
	table := newFedTable()
	if err := table.Store([]Entry{via("10.244.2.0/24", b)}); err != nil {
		t.Fatal(err)
	}
	good := via("10.244.3.0/24", b)
	for want, bad := range map[string]Entry{
		"not an IPv4 prefix":     {Kind: Local},
		"fd00::/64: not an":      {Prefix: netip.MustParsePrefix("fd00::/64"), Kind: Local},
		"10.244.4.1/24: not an":  {Prefix: netip.MustParsePrefix("10.244.4.1/24"), Kind: Local},
		"kind 0":                 {Prefix: netip.MustParsePrefix("10.244.4.0/24")},
		"local, but held by b":   {Prefix: netip.MustParsePrefix("10.244.4.0/24"), Kind: Local, Peer: b},
		"via no peer":            {Prefix: netip.MustParsePrefix("10.244.4.0/24"), Kind: Via},
		"via x: endpoint [::1]":  via("10.244.4.0/24", testPeer("x", "[::1]:8285")),
		"via y: endpoint":        via("10.244.4.0/24", testPeer("y", "192.0.2.2:0")),
		"two routes, the second": via("10.244.3.0/24", testPeer("z", "192.0.2.9:1")),
	} {
		err := table.Store([]Entry{good, bad})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
		if _, ok := table.Lookup(netip.MustParseAddr("10.244.3.1")); ok {
			t.Errorf("%s: the table has changed all the same", want)
		}
	}
}

// The endpoint is part of the snapshot: a peer that moves is reached at its new
// address from the next Store on, not in the middle of a batch.
func TestEndpointCountsFromTheNextStore(t *testing.T) {
	b := testPeer("b", "192.0.2.2:8285")
	entries := []Entry{via("10.244.2.0/24", b)}
	addr := netip.MustParseAddr("10.244.2.1")
	table := newFedTable()
	if err := table.Store(entries); err != nil {
		t.Fatal(err)
	}
	b.Update(netip.MustParseAddrPort("192.0.2.7:8285"), 0)
	if hop, _ := table.Lookup(addr); hop.Endpoint.String() != "192.0.2.2:8285" {
		t.Errorf("endpoint %s before Store", hop.Endpoint)
	}
	if err := table.Store(entries); err != nil {
		t.Fatal(err)
	}
	if hop, _ := table.Lookup(addr); hop.Endpoint.String() != "192.0.2.7:8285" {
		t.Errorf("endpoint %s after Store", hop.Endpoint)
	}
}

// The table compared with a slow and obvious one, which tries every entry.
func TestLongestPrefixWins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		peer := testPeer("b", "192.0.2.2:8285")
		prefix := rapid.Custom(func(t *rapid.T) netip.Prefix {
			a := netip.AddrFrom4([4]byte{10, 244, rapid.ByteMax(3).Draw(t, "third"), rapid.Byte().Draw(t, "fourth")})
			return netip.PrefixFrom(a, rapid.IntRange(0, 32).Draw(t, "bits")).Masked()
		})
		prefixes := rapid.SliceOfNDistinct(prefix, 0, 30, rapid.ID).Draw(t, "prefixes")
		var entries []Entry
		for _, p := range prefixes {
			entries = append(entries, Entry{Prefix: p, Kind: Via, Peer: peer})
		}
		table := newFedTable()
		if err := table.Store(entries); err != nil {
			t.Fatal(err)
		}
		addr := netip.AddrFrom4([4]byte{10, 244, rapid.ByteMax(3).Draw(t, "third"), rapid.Byte().Draw(t, "fourth")})
		best := netip.Prefix{}
		for _, p := range prefixes {
			if p.Contains(addr) && (!best.IsValid() || p.Bits() > best.Bits()) {
				best = p
			}
		}
		hop, ok := table.Lookup(addr)
		if ok != best.IsValid() || hop.Prefix != best {
			t.Errorf("%s: %s, want %s", addr, hop.Prefix, best)
		}
	})
}

// However tables follow each other, each is as if it were the first, and an
// earlier table that a loop still reads stays unchanged.
func TestTablesThatFollowEachOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		peers := make([]*Peer, 5)
		for i := range peers {
			peers[i] = testPeer(fmt.Sprint(i), fmt.Sprintf("192.0.2.%d:8285", i/2)) // some share an address
		}
		table := newFedTable()
		type state struct {
			snapshot *snapshot
			view     string
		}
		var states []state
		for range rapid.IntRange(1, 10).Draw(t, "tables") {
			p := rapid.SampledFrom(peers).Draw(t, "the one that moves")
			p.Update(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, rapid.ByteMax(3).Draw(t, "to")}), 8285), 0)
			entries := drawEntries(t, peers)
			fresh := newFedTable()
			err, freshErr := table.Store(entries), fresh.Store(entries)
			if fmt.Sprint(err) != fmt.Sprint(freshErr) {
				t.Fatalf("%v: %v, but %v as the first", entries, err, freshErr)
			}
			got := view(table.load())
			if err == nil && got != view(fresh.load()) {
				t.Fatalf("%v: the table is\n%sas the first it would be\n%s", entries, got, view(fresh.load()))
			}
			states = append(states, state{table.load(), got})
			for _, s := range states {
				if now := view(s.snapshot); now != s.view {
					t.Fatalf("an earlier table was\n%sand became\n%s", s.view, now)
				}
			}
			if err != nil && len(states) > 1 && got != states[len(states)-2].view {
				t.Fatalf("%v: refused, and the table has changed all the same", entries)
			}
		}
	})
}

// drawEntries draws routes to up to 40 subnets; now and then there are two for
// one subnet, or one without a peer.
func drawEntries(t *rapid.T, peers []*Peer) (entries []Entry) {
	for i := range 40 {
		e := Entry{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(i), 0}), 24), Kind: Via}
		switch rapid.SampledFrom([]int{0, 0, 0, 0, 1, 1, 2, 3}).Draw(t, "kind") {
		case 0:
			e.Peer = peers[i%len(peers)]
		case 1:
			continue
		case 2:
			e.Kind, e.Peer = Unreachable, rapid.SampledFrom(peers).Draw(t, "peer")
		case 3:
			e.Kind = Local
		}
		entries = append(entries, e)
	}
	switch rapid.IntRange(0, 9).Draw(t, "mistake") {
	case 0:
		entries = append(entries, entries[:min(1, len(entries))]...)
	case 1:
		entries = append(entries, Entry{Prefix: netip.MustParsePrefix("10.245.0.0/24"), Kind: Via})
	}
	return entries
}

// view is the result of all lookups in a snapshot.
func view(s *snapshot) string {
	var b strings.Builder
	for prefix, hop := range s.hops.AllSorted() {
		fmt.Fprintln(&b, prefix, hop, hop.Endpoint, s.lookup(prefix.Addr()) == hop)
	}
	for i := range byte(6) {
		fmt.Fprint(&b, s.knows(netip.AddrFrom4([4]byte{192, 0, 2, i})), " ")
	}
	return b.String() + "\n"
}

// Readers see either the old state or the new one, and no reader waits.
func TestStoreWhileLookingUp(t *testing.T) {
	peers := []*Peer{testPeer("0", "192.0.2.2:8285"), testPeer("1", "192.0.2.3:8285")}
	table := newFedTable()
	store := func(i int) {
		if err := table.Store([]Entry{via("10.244.2.0/24", peers[i%2]), via("10.244.3.0/24", peers[i%2])}); err != nil {
			t.Error(err)
		}
	}
	store(0)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				s := table.load()
				a, b := s.lookup(netip.MustParseAddr("10.244.2.1")), s.lookup(netip.MustParseAddr("10.244.3.1"))
				if a.Peer != b.Peer || a.Endpoint != a.Peer.Endpoint() {
					t.Errorf("a snapshot with %v and %v", a, b)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for i := range 1000 {
		store(i)
	}
	close(stop)
	readers.Wait()
}
