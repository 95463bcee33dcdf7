// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// mirror is a sink that keeps all changes. It checks that each change continues
// from the sink's state.
type mirror struct {
	t     *rapid.T
	hops  map[netip.Prefix]*NextHop
	calls int
}

func newMirror(t *rapid.T) *mirror { return &mirror{t: t, hops: map[netip.Prefix]*NextHop{}} }

func (m *mirror) Apply(changes []Change) {
	m.calls++
	named := map[netip.Prefix]bool{}
	for _, c := range changes {
		prefix := c.Prefix()
		if named[prefix] {
			m.t.Fatalf("%s changes twice in one call", prefix)
		}
		named[prefix] = true
		if m.hops[prefix] != c.Old {
			m.t.Fatalf("%s was %v, the sink has %v", prefix, c.Old, m.hops[prefix])
		}
		if c.New == nil {
			delete(m.hops, prefix)
		} else {
			m.hops[prefix] = c.New
		}
	}
}

// shuffler gives a sink the changes of each call in several calls of its own,
// in any order.
type shuffler struct {
	t *rapid.T
	Sink
}

func (s shuffler) Apply(changes []Change) {
	changes = slices.Clone(changes)
	seed := rapid.Uint64().Draw(s.t, "order")
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(changes), func(i, j int) {
		changes[i], changes[j] = changes[j], changes[i]
	})
	for len(changes) > 0 {
		n := rapid.IntRange(1, len(changes)).Draw(s.t, "changes at once")
		s.Sink.Apply(changes[:n])
		changes = changes[n:]
	}
}

// A sink has the same routes as after one call of Store, whatever differences
// it has taken, in however many calls, and whenever it was added.
func TestDifferencesMakeTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		peers := make([]*Peer, 5)
		for i := range peers {
			peers[i] = testPeer(fmt.Sprint(i), fmt.Sprintf("192.0.2.%d:8285", i/2)) // some share an address
		}
		var feed Feed
		var first, late Table
		known := newMirror(t)
		feed.Add(known)
		feed.Add(shuffler{t, &first})
		rounds := rapid.IntRange(1, 8).Draw(t, "rounds")
		joins := rapid.IntRange(0, rounds-1).Draw(t, "round of the late sink")
		for round := range rounds {
			if round == joins {
				feed.Add(shuffler{t, &late})
			}
			p := rapid.SampledFrom(peers).Draw(t, "peer that moves")
			p.Update(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, rapid.ByteMax(3).Draw(t, "to")}), 8285), 0)
			entries := drawEntries(t, peers)
			before, calls := maps.Clone(known.hops), known.calls
			if err := feed.Store(entries); err != nil {
				if known.calls != calls {
					t.Fatalf("%v, and sinks were told of changes", err)
				}
				continue
			}
			if maps.Equal(before, known.hops) != (known.calls == calls) {
				t.Fatalf("%d calls; before %v, after %v", known.calls-calls, before, known.hops)
			}
			whole := newFedTable()
			if err := whole.Store(entries); err != nil {
				t.Fatal(err)
			}
			for name, table := range map[string]*Table{"the first": &first, "the late": &late} {
				if table == &late && round < joins {
					continue
				}
				if got, want := view(table.load()), view(whole.load()); got != want {
					t.Fatalf("%s table is\n%snot\n%s", name, got, want)
				}
			}
		}
	})
}

// A removed sink gets no more changes; an added sink gets everything.
func TestSinksComeAndGo(t *testing.T) {
	b := testPeer("b", "192.0.2.2:8285")
	var feed Feed
	var first, second Table
	feed.Add(&first)
	if err := feed.Store([]Entry{via("10.244.2.0/24", b)}); err != nil {
		t.Fatal(err)
	}
	feed.Remove(&first)
	feed.Add(&second)
	if err := feed.Store([]Entry{via("10.244.2.0/24", b), via("10.244.3.0/24", b)}); err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string][2]bool{"10.244.2.1": {true, true}, "10.244.3.1": {false, true}} {
		_, inFirst := first.Lookup(netip.MustParseAddr(addr))
		_, inSecond := second.Lookup(netip.MustParseAddr(addr))
		if got := [2]bool{inFirst, inSecond}; got != want {
			t.Errorf("%s is in the first and the second sink: %v, want %v", addr, got, want)
		}
	}
}

// An unchanged set of routes costs a comparison of each and no memory.
func TestStoreOfTheSameAllocatesNothing(t *testing.T) {
	feed, entries := Feed{}, manyRoutes(100)
	feed.Add(new(Table))
	store := func() {
		if err := feed.Store(entries); err != nil {
			t.Fatal(err)
		}
	}
	store()
	if allocs := testing.AllocsPerRun(100, store); allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}

// logSink prints changes.
type logSink struct{}

func (logSink) Apply(changes []Change) {
	for _, c := range changes {
		switch {
		case c.Old == nil:
			fmt.Println("added", c.New.Prefix, c.New, c.New.Endpoint)
		case c.New == nil:
			fmt.Println("removed", c.Old.Prefix)
		default:
			fmt.Println("changed", c.New.Prefix, c.New, c.New.Endpoint)
		}
	}
}

func ExampleFeed() {
	b := NewPeer("b", netip.MustParseAddrPort("192.0.2.2:8285"), 1472)
	lease := netip.MustParsePrefix("10.244.2.0/24")

	var table Table // what the lanes forward by
	var feed Feed
	feed.Add(&table)
	feed.Add(logSink{})

	feed.Store([]Entry{{Prefix: lease, Kind: Via, Peer: b}})
	b.Update(netip.MustParseAddrPort("192.0.2.9:8285"), 1472) // takes effect at the next Store
	feed.Store([]Entry{{Prefix: lease, Kind: Via, Peer: b}})
	feed.Store(nil)
	// Output:
	// added 10.244.2.0/24 via b 192.0.2.2:8285
	// changed 10.244.2.0/24 via b 192.0.2.9:8285
	// removed 10.244.2.0/24
}
