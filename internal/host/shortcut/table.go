// SPDX-License-Identifier: Apache-2.0

package shortcut

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
)

// Sizes of the kernel's maps, as in shortcut.c.
const (
	maxPeers = 8192 // prefixes
	maxSlots = 4096 // prefixes with counters of their own; the others are left out
	flagSend = 1
	keyLen   = 8
	valueLen = 16
	counters = 5
)

// errFull is the error for a peer that finds no room.
var errFull = errors.New("the table is full")

// row is what the kernel has for a prefix.
type row struct {
	endpoint netip.AddrPort
	limit    int
	send     bool
	slot     uint32
}

// key is struct prefix.
func key(p netip.Prefix) (k [keyLen]byte) {
	binary.NativeEndian.PutUint32(k[:], uint32(p.Bits()))
	addr := p.Addr().As4()
	copy(k[4:], addr[:])
	return k
}

// value is struct peer.
func (r row) value() (v [valueLen]byte) {
	addr := r.endpoint.Addr().As4()
	copy(v[:], addr[:])
	binary.BigEndian.PutUint16(v[4:], r.endpoint.Port())
	if r.send {
		binary.NativeEndian.PutUint16(v[6:], flagSend)
	}
	binary.NativeEndian.PutUint32(v[8:], uint32(r.limit))
	binary.NativeEndian.PutUint32(v[12:], r.slot)
	return v
}

// volume is what struct volume counts, the sum over all processors.
type volume [counters]uint64

// The fields of a volume.
const (
	sentPackets = iota
	sentBytes
	receivedPackets
	receivedBytes
	answers
)

// minus is what was counted since an earlier reading.
func (v volume) minus(before volume) volume {
	for i := range v {
		v[i] -= before[i]
	}
	return v
}

func (v volume) plus(w volume) volume {
	for i := range v {
		v[i] += w[i]
	}
	return v
}

func (v volume) traffic() Traffic {
	return Traffic{
		Sent:     Volume{v[sentPackets], v[sentBytes]},
		Received: Volume{v[receivedPackets], v[receivedBytes]},
		Answers:  v[answers],
	}
}

// tableMaps are the kernel's maps of a table.
type tableMaps interface {
	put(p netip.Prefix, r row) error
	drop(p netip.Prefix) error
	read(slot uint32) (volume, error)
}

// table is the peers as wanted, and as the kernel has them. It is not safe for
// concurrent use.
type table struct {
	mtu    int
	wanted map[netip.Prefix]Peer
	have   map[netip.Prefix]row
	dirty  map[netip.Prefix]bool // have may differ from wanted
	free   []uint32              // slots
	next   uint32                // the first slot that was never used
	before map[uint32]volume     // of a used slot, when it was taken
	gone   volume                // of slots that were given back
}

func newTable() *table {
	return &table{
		wanted: map[netip.Prefix]Peer{}, have: map[netip.Prefix]row{}, dirty: map[netip.Prefix]bool{}, before: map[uint32]volume{},
	}
}

// update changes what is wanted.
func (t *table) update(set []Peer, gone []netip.Prefix) {
	for _, p := range gone {
		delete(t.wanted, p)
		t.dirty[p] = true
	}
	for _, p := range set {
		t.wanted[p.Prefix] = p
		t.dirty[p.Prefix] = true
	}
}

// reset makes the table write everything again, into maps that are empty, or
// with another MTU.
func (t *table) reset(mtu int, empty bool) {
	t.mtu = mtu
	if empty {
		t.have = map[netip.Prefix]row{}
		t.free, t.next, t.before = nil, 0, map[uint32]volume{}
	}
	for p := range t.wanted {
		t.dirty[p] = true
	}
}

// flush writes the differences. It returns an error for each prefix that the
// kernel has not as wanted, and tries it again the next time.
func (t *table) flush(m tableMaps) error {
	var failed []error
	for p := range t.dirty { // first what goes, which makes room
		if _, stays := t.wanted[p]; !stays {
			failed = append(failed, t.remove(m, p))
		}
	}
	for p := range t.dirty {
		if peer, ok := t.wanted[p]; ok {
			failed = append(failed, t.write(m, peer))
		}
	}
	failed = append(failed, t.cover(m))
	return errors.Join(failed...)
}

func (t *table) remove(m tableMaps, p netip.Prefix) error {
	if r, ok := t.have[p]; ok {
		if err := m.drop(p); err != nil {
			return fmt.Errorf("remove %s: %w", p, err)
		}
		if v, err := m.read(r.slot); err == nil {
			t.gone = t.gone.plus(v.minus(t.before[r.slot]))
		}
		delete(t.have, p)
		delete(t.before, r.slot)
		t.free = append(t.free, r.slot)
	}
	delete(t.dirty, p)
	return nil
}

func (t *table) write(m tableMaps, peer Peer) error {
	p := peer.Prefix
	r, known := t.have[p]
	want := t.row(peer, r.slot)
	if known && r == want {
		delete(t.dirty, p)
		return nil
	}
	if !known {
		slot, err := t.take(m)
		if err != nil {
			return fmt.Errorf("add %s: %w", p, err)
		}
		want.slot = slot
	}
	if err := m.put(p, want); err != nil {
		if !known {
			delete(t.before, want.slot)
			t.free = append(t.free, want.slot)
		}
		return fmt.Errorf("add %s: %w", p, err)
	}
	t.have[p] = want
	delete(t.dirty, p)
	return nil
}

// row is what the kernel should have for a peer.
func (t *table) row(p Peer, slot uint32) row {
	r := row{endpoint: p.Endpoint, limit: p.Limit, send: p.Send, slot: slot}
	if r.limit <= 0 {
		r.limit = t.mtu
	}
	r.limit = min(r.limit, math.MaxUint16)
	return r
}

// take finds a slot, and notes what its counters are.
func (t *table) take(m tableMaps) (uint32, error) {
	var slot uint32
	switch n := len(t.free); {
	case len(t.have) >= maxPeers:
		return 0, errFull
	case n > 0:
		slot = t.free[n-1]
		t.free = t.free[:n-1]
	case t.next < maxSlots:
		slot = t.next
		t.next++
	default:
		return 0, errFull
	}
	v, err := m.read(slot)
	if err != nil {
		t.free = append(t.free, slot)
		return 0, err
	}
	t.before[slot] = v
	return slot, nil
}

// cover keeps packets to a prefix that could not be written from a shorter
// prefix of another peer: the kernel does not send to that one.
func (t *table) cover(m tableMaps) error {
	var failed []error
	for p := range t.dirty {
		for outer, r := range t.have {
			if outer.Bits() >= p.Bits() || !outer.Contains(p.Addr()) || !r.send {
				continue
			}
			r.send = false
			if err := m.put(outer, r); err != nil {
				failed = append(failed, fmt.Errorf("close %s: %w", outer, err))
				continue
			}
			t.have[outer] = r
			t.dirty[outer] = true
		}
	}
	return errors.Join(failed...)
}

// traffic reads the counters of a prefix.
func (t *table) traffic(m tableMaps, p netip.Prefix) (Traffic, bool) {
	r, ok := t.have[p]
	if !ok {
		return Traffic{}, false
	}
	v, err := m.read(r.slot)
	if err != nil {
		return Traffic{}, false
	}
	return v.minus(t.before[r.slot]).traffic(), true
}

// total reads all counters.
func (t *table) total(m tableMaps) Traffic {
	all := t.gone
	for slot, before := range t.before {
		if v, err := m.read(slot); err == nil {
			all = all.plus(v.minus(before))
		}
	}
	return all.traffic()
}

// retire keeps the sums of maps that go away, and forgets what was written.
func (t *table) retire(m tableMaps) {
	for slot, before := range t.before {
		if v, err := m.read(slot); err == nil {
			t.gone = t.gone.plus(v.minus(before))
		}
	}
	t.reset(0, true)
}
