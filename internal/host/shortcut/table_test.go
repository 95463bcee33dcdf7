// SPDX-License-Identifier: Apache-2.0

package shortcut

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// fakeMaps are the kernel's maps, with counters that a test sets.
type fakeMaps struct {
	rows   map[netip.Prefix]row
	counts map[uint32]volume
	refuse error
	writes int
}

func newFakeMaps() *fakeMaps {
	return &fakeMaps{rows: map[netip.Prefix]row{}, counts: map[uint32]volume{}}
}

func (f *fakeMaps) put(p netip.Prefix, r row) error {
	if f.refuse != nil {
		return f.refuse
	}
	f.writes++
	f.rows[p] = r
	return nil
}

func (f *fakeMaps) drop(p netip.Prefix) error {
	f.writes++
	delete(f.rows, p)
	return nil
}

func (f *fakeMaps) read(slot uint32) (volume, error) { return f.counts[slot], nil }

func testPeer(n int) Peer {
	return Peer{
		Prefix:   netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(n), 0}), 24),
		Endpoint: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), 8285),
		Send:     true,
	}
}

// Whatever changes come in whatever order, the kernel has what is wanted in the
// end, each peer with a slot of its own.
func TestTableBecomesWhatIsWanted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab, kernel := newTable(), newFakeMaps()
		tab.reset(1472, true)
		want := map[netip.Prefix]Peer{}
		for range rapid.IntRange(1, 20).Draw(t, "rounds") {
			kernel.refuse = rapid.SampledFrom([]error{nil, nil, errors.New("no memory")}).Draw(t, "refuse")
			p := testPeer(rapid.IntRange(0, 9).Draw(t, "peer"))
			p.Limit = rapid.SampledFrom([]int{0, 576, 1400, 90_000}).Draw(t, "limit")
			p.Send = rapid.Bool().Draw(t, "send")
			if rapid.Bool().Draw(t, "gone") {
				tab.update(nil, []netip.Prefix{p.Prefix})
				delete(want, p.Prefix)
			} else {
				tab.update([]Peer{p}, nil)
				want[p.Prefix] = p
			}
			if err := tab.flush(kernel); err != nil && kernel.refuse == nil {
				t.Fatal(err)
			}
		}
		kernel.refuse = nil
		if err := tab.flush(kernel); err != nil {
			t.Fatal(err)
		}
		slots := map[uint32]bool{}
		for prefix, r := range kernel.rows {
			p, ok := want[prefix]
			if !ok || r.endpoint != p.Endpoint || r.send != p.Send || p.Limit > 0 && p.Limit < 2000 && r.limit != p.Limit {
				t.Fatalf("%s is %+v, wanted %+v", prefix, r, p)
			}
			slots[r.slot] = true
		}
		if len(kernel.rows) != len(want) || len(slots) != len(want) {
			t.Fatalf("%d rows with %d slots, want %d", len(kernel.rows), len(slots), len(want))
		}
		before := kernel.writes
		if err := tab.flush(kernel); err != nil || kernel.writes != before {
			t.Fatalf("%d writes without a change, %v", kernel.writes-before, err)
		}
	})
}

// Counters of a slot begin anew with each peer, and the sum forgets none.
func TestCountersBelongToOnePeer(t *testing.T) {
	tab, kernel := newTable(), newFakeMaps()
	tab.reset(1472, true)
	one, two := testPeer(1), testPeer(2)
	tab.update([]Peer{one}, nil)
	if err := tab.flush(kernel); err != nil {
		t.Fatal(err)
	}
	slot := kernel.rows[one.Prefix].slot
	kernel.counts[slot] = volume{sentPackets: 3, sentBytes: 300, receivedPackets: 1, receivedBytes: 40, answers: 2}
	tab.update([]Peer{two}, []netip.Prefix{one.Prefix})
	if err := tab.flush(kernel); err != nil {
		t.Fatal(err)
	}
	if again := kernel.rows[two.Prefix].slot; again != slot {
		t.Fatalf("slot %d was not used again, but %d", slot, again)
	}
	if _, ok := tab.traffic(kernel, one.Prefix); ok {
		t.Error("a peer that is gone has traffic")
	}
	kernel.counts[slot] = volume{sentPackets: 5, sentBytes: 500, receivedPackets: 1, receivedBytes: 40, answers: 2}
	if got, _ := tab.traffic(kernel, two.Prefix); got != (Traffic{Sent: Volume{2, 200}}) {
		t.Errorf("the second peer has %+v", got)
	}
	want := Traffic{Sent: Volume{5, 500}, Received: Volume{1, 40}, Answers: 2}
	if got := tab.total(kernel); got != want {
		t.Errorf("all: %+v, want %+v", got, want)
	}
	tab.retire(kernel)
	if got := tab.total(newFakeMaps()); got != want {
		t.Errorf("after the maps are gone: %+v, want %+v", got, want)
	}
}

// Peers that find no room are left to user space. A shorter prefix of another
// peer takes none of their packets meanwhile.
func TestFullTableSendsToNoWrongPeer(t *testing.T) {
	tab, kernel := newTable(), newFakeMaps()
	tab.reset(1472, true)
	var all []Peer
	for n := range maxSlots {
		p := testPeer(1)
		p.Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 8), byte(n), 0}), 24)
		all = append(all, p)
	}
	tab.update(all, nil)
	if err := tab.flush(kernel); err != nil {
		t.Fatal(err)
	}
	outer := all[5].Prefix
	inner := testPeer(2)
	inner.Prefix = netip.PrefixFrom(outer.Addr(), 28)
	tab.update([]Peer{inner}, nil)
	if err := tab.flush(kernel); !errors.Is(err, errFull) {
		t.Fatalf("a full table: %v", err)
	}
	if kernel.rows[outer].send {
		t.Errorf("%s would get what is for %s", outer, inner.Prefix)
	}
	tab.update(nil, []netip.Prefix{all[9].Prefix})
	for range 2 {
		if err := tab.flush(kernel); err != nil {
			t.Fatal(err)
		}
	}
	if !kernel.rows[outer].send || kernel.rows[inner.Prefix].endpoint != inner.Endpoint {
		t.Errorf("with room again: %+v and %+v", kernel.rows[outer], kernel.rows[inner.Prefix])
	}
}

// A thousand peers and one change: one write.
func TestOnlyDifferencesAreWritten(t *testing.T) {
	tab, kernel := newTable(), newFakeMaps()
	tab.reset(1472, true)
	var all []Peer
	for n := range 1000 {
		p := testPeer(1)
		p.Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 8), byte(n), 0}), 24)
		all = append(all, p)
	}
	tab.update(all, nil)
	if err := tab.flush(kernel); err != nil || kernel.writes != 1000 {
		t.Fatalf("%d writes, %v", kernel.writes, err)
	}
	all[7].Send = false
	tab.update(all, nil)
	if err := tab.flush(kernel); err != nil || kernel.writes != 1001 {
		t.Fatalf("%d writes after one change, %v", kernel.writes, err)
	}
}

// The bytes are those of struct prefix and struct peer.
func TestRowsAreTheStructsOfThePrograms(t *testing.T) {
	p := testPeer(7)
	k := key(p.Prefix)
	if fmt.Sprint(k[4:]) != "[10 244 7 0]" {
		t.Errorf("key %v", k)
	}
	r := row{endpoint: p.Endpoint, limit: 1472, send: true, slot: 258}
	v := r.value()
	if fmt.Sprint(v[:4]) != "[192 0 2 7]" || v[4] != 8285>>8 || v[5] != 8285&0xff {
		t.Errorf("value %v", v)
	}
	if slices.Equal(v[6:8], []byte{0, 0}) {
		t.Error("a peer that takes packets has no flag")
	}
	r.send = false
	if v := r.value(); !slices.Equal(v[6:8], []byte{0, 0}) {
		t.Error("a peer that takes none has a flag")
	}
	if len(reasons) != len(slices.Collect(maps.Keys(uniqueReasons()))) {
		t.Error("two reasons have one name")
	}
}

func uniqueReasons() map[string]bool {
	all := map[string]bool{}
	for _, r := range reasons {
		all[r.direction+" "+r.name] = true
	}
	return all
}
