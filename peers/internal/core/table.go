package core

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"hash/maphash"
	"maps"
	"slices"
	"time"
)

// Limits on what a table takes in. They bound memory and files against a
// member that makes things up; no network is meant to come near them.
const (
	maxNodes   = 8192
	maxForgets = 4096
	maxLeases  = 1 << 16 // slots that were ever used, free ones included
	maxRecords = 1 << 17
)

// stored is a record with the bytes it came in, and what it does to the digest.
type stored[T any] struct {
	rec  T
	raw  []byte
	part int
	sum  uint64
	// former says that raw is of the format before this one. It is known
	// from this node's own disk only, kept there, and sent to no other
	// node.
	former bool
	since  time.Duration // when a forget record, or the first record of a node, was taken in
}

// table is the node table: the winning record for every key.
type table struct {
	network Network
	netID   NetworkID
	signer  signer
	// loopback says that the underlay is this machine's loopback, so that
	// peers' endpoints may be there too.
	loopback bool
	nodes    map[NodeID]*stored[NodeRecord]
	leases   map[Slot]*stored[LeaseRecord]
	forgets  map[NodeID]*stored[ForgetRecord]
	held     map[NodeID][]Slot // the slots that leases names a node for
	// holders are the public keys of those that have held a lease: their
	// vouchers count, also after that.
	holders map[NodeID][]byte
	digest  digest
	known   knownRecords
	// changes grows with every change, leaseChanges with every change of a
	// lease; they begin at 1.
	changes, leaseChanges uint64
	formerLeases          int    // records of leases that are former
	topOrdinal            uint64 // see maxOrdinal
	topGone               bool   // the lease that topOrdinal is from was dropped
	moves                 uint64 // grows when a node is new, or at another endpoint
}

func newTable(n Network, loopback bool, s signer) *table {
	return &table{
		network:  n,
		netID:    n.ID(),
		signer:   s,
		loopback: loopback,
		nodes:    map[NodeID]*stored[NodeRecord]{},
		leases:   map[Slot]*stored[LeaseRecord]{},
		forgets:  map[NodeID]*stored[ForgetRecord]{},
		held:     map[NodeID][]Slot{},
		holders:  map[NodeID][]byte{},
		known:    knownRecords{},

		changes: 1, leaseChanges: 1,
	}
}

// change is what taking in a record did. At most one of the pointers is set;
// replaced is the lease that had been there.
type change struct {
	node     *NodeRecord
	lease    *LeaseRecord
	replaced *LeaseRecord
	forgot   NodeID
}

func (c change) any() bool { return c.node != nil || c.lease != nil || !c.forgot.IsZero() }

var errTableFull = errors.New("node table is full")

// gate decides whether a record that is genuine and newer is taken now. What it
// turns away is no error: it may be taken later. Nil takes everything.
type gate interface {
	lease(old *stored[LeaseRecord], rec *LeaseRecord, raw []byte) bool
	forget(rec *ForgetRecord, raw []byte) bool
	node(old *stored[NodeRecord], rec *NodeRecord) bool
}

// take merges one encoded record. An older or equal record changes nothing and
// is no error; one that is malformed or not signed by whom it names is.
func (t *table) take(raw []byte, g gate) (change, error) {
	if t.known.has(raw) {
		return change{}, nil
	}
	e, err := openEnvelope(raw)
	if err != nil {
		return change{}, fmt.Errorf("core: record: %w", err)
	}
	var c change
	switch e.Kind {
	case kindNode:
		c, err = t.takeNode(e, raw, g)
	case kindLease:
		c, err = t.takeLease(e, raw, g)
	case kindForget:
		c, err = t.takeForget(e, raw, g)
	default: // a later version's; it reaches those who know it by other ways
	}
	if err != nil {
		return change{}, fmt.Errorf("core: record of kind %d: %w", e.Kind, err)
	}
	return c, nil
}

func (t *table) takeNode(e envelope, raw []byte, g gate) (change, error) {
	s := &stored[NodeRecord]{raw: raw}
	if err := decoder.Unmarshal(e.Payload, &s.rec); err != nil {
		return change{}, err
	}
	id := s.rec.ID()
	old := t.nodes[id]
	switch {
	case old != nil && compareNodes(s, old) <= 0, t.isStruckOut(id, s.rec.Start):
		return change{}, nil
	case old == nil && len(t.nodes) >= maxNodes:
		return change{}, errTableFull
	}
	if err := errors.Join(s.rec.validate(t), e.verify(t.signer, t.netID, s.rec.Key)); err != nil {
		return change{}, err
	}
	if g != nil && !g.node(old, &s.rec) {
		return change{}, nil
	}
	t.putNode(s)
	return change{node: &s.rec}, nil
}

func (t *table) putNode(s *stored[NodeRecord]) {
	id := s.rec.ID()
	s.part, s.sum = bucketOfNode(id), sumOf(s.raw)
	old := t.nodes[id]
	if old != nil {
		s.since = old.since
	}
	if old == nil || old.rec.Endpoint() != s.rec.Endpoint() {
		t.moves++
	}
	t.dropNode(id)
	t.nodes[id] = s
	t.enter(s.part, s.sum, s.raw, s.former)
}

func (t *table) dropNode(id NodeID) {
	if n := t.nodes[id]; n != nil {
		t.strike(n.part, n.sum, n.raw, n.former)
		delete(t.nodes, id)
	}
}

// enter and strike keep up to date what is derived from all records.
func (t *table) enter(part int, sum uint64, raw []byte, former bool) {
	t.changes++
	if !former {
		t.digest[part] ^= sum
		t.known.add(raw)
	}
}

func (t *table) strike(part int, sum uint64, raw []byte, former bool) {
	t.changes++
	if !former {
		t.digest[part] ^= sum
		t.known.drop(raw)
	}
}

// isStruckOut reports whether a node was forgotten as of this start or a later one.
func (t *table) isStruckOut(id NodeID, start uint64) bool {
	f := t.forgets[id]
	return f != nil && start <= f.rec.Start && !(f.rec.Faded && t.heldBy(id) != nil)
}

func (t *table) takeLease(e envelope, raw []byte, g gate) (change, error) {
	s := &stored[LeaseRecord]{raw: raw}
	if err := decoder.Unmarshal(e.Payload, &s.rec); err != nil {
		return change{}, err
	}
	old := t.leases[s.rec.Slot]
	switch {
	case old != nil && compareLeases(s, old) <= 0:
		return change{}, nil
	case old == nil && len(t.leases) >= maxLeases:
		return change{}, errTableFull
	}
	if err := errors.Join(s.rec.validate(t.network), e.verify(t.signer, t.netID, s.rec.Key)); err != nil {
		return change{}, err
	}
	if g != nil && !g.lease(old, &s.rec, raw) {
		return change{}, nil
	}
	t.putLease(s)
	c := change{lease: &s.rec}
	if old != nil {
		c.replaced = &old.rec
	}
	return c, nil
}

func (t *table) putLease(s *stored[LeaseRecord]) {
	s.part, s.sum = bucketOf(kindLease, binary.BigEndian.AppendUint32(nil, uint32(s.rec.Slot))), sumOf(s.raw)
	t.dropLease(s.rec.Slot)
	t.leases[s.rec.Slot] = s
	t.topOrdinal = max(t.topOrdinal, s.rec.Ordinal)
	if s.former {
		t.formerLeases++
	}
	if id := s.rec.Holder; !id.IsZero() {
		t.held[id] = append(t.held[id], s.rec.Slot)
		if t.holders[id] != nil || len(t.holders) < maxNodes {
			t.holders[id] = s.rec.Key
		}
	}
	t.enter(s.part, s.sum, s.raw, s.former)
}

func (t *table) dropLease(s Slot) {
	t.leaseChanges++
	l := t.leases[s]
	if l == nil {
		return
	}
	t.strike(l.part, l.sum, l.raw, l.former)
	delete(t.leases, s)
	t.topGone = t.topGone || l.rec.Ordinal == t.topOrdinal
	if l.former {
		t.formerLeases--
	}
	if id := l.rec.Holder; !id.IsZero() {
		t.held[id] = slices.DeleteFunc(t.held[id], func(o Slot) bool { return o == s })
		if len(t.held[id]) == 0 {
			delete(t.held, id)
		}
	}
}

// keyOf is the public key of a node that holds a lease or has held one; nil for
// any other.
func (t *table) keyOf(id NodeID) []byte {
	if l := t.heldBy(id); l != nil {
		return l.rec.Key
	}
	return t.holders[id]
}

func (t *table) takeForget(e envelope, raw []byte, g gate) (change, error) {
	s := &stored[ForgetRecord]{raw: raw}
	if err := decoder.Unmarshal(e.Payload, &s.rec); err != nil {
		return change{}, err
	}
	id := s.rec.Node
	old := t.forgets[id]
	switch {
	case old != nil && compareForgets(s, old) <= 0:
		return change{}, nil
	case old == nil && len(t.forgets) >= maxForgets:
		return change{}, errTableFull
	}
	if err := errors.Join(boundCounters(s.rec.Start), e.verify(t.signer, t.netID, s.rec.Key)); err != nil {
		return change{}, err
	}
	if g != nil && !g.forget(&s.rec, raw) {
		return change{}, nil
	}
	t.dropForget(id)
	t.forgets[id] = s
	t.changes++
	t.known.add(raw)
	if n := t.nodes[id]; n != nil && n.rec.Start <= s.rec.Start {
		t.dropNode(id)
	}
	return change{forgot: id}, nil
}

// dropForget ends a forget record. It is not part of the digest, since nodes
// drop theirs at different times. It matters only to a node that still has the
// node record, and travels with that record's part of the table.
func (t *table) dropForget(id NodeID) {
	if f := t.forgets[id]; f != nil {
		t.changes++
		t.known.drop(f.raw)
		delete(t.forgets, id)
	}
}

// knownRecords finds the records of a table by their bytes: most of what comes
// in has come before, and need not be decoded or verified again.
type knownRecords map[uint64][]byte

func (k knownRecords) has(raw []byte) bool { return bytes.Equal(k[hashOf(raw)], raw) }
func (k knownRecords) add(raw []byte)      { k[hashOf(raw)] = raw }
func (k knownRecords) drop(raw []byte)     { delete(k, hashOf(raw)) }

var hashSeed = maphash.MakeSeed()

// hashOf is a hash that nobody outside of this process can foresee. It finds
// what is known already, and decides nothing.
func hashOf(b []byte) uint64 { return maphash.Bytes(hashSeed, b) }

// heldBy is the lease a node holds, or nil. Should the table name it as the
// holder of more than one slot, the oldest grant counts, so that all agree.
func (t *table) heldBy(id NodeID) *stored[LeaseRecord] {
	var found *stored[LeaseRecord]
	for _, s := range t.held[id] {
		l := t.leases[s]
		if found == nil || l.rec.Ordinal < found.rec.Ordinal || l.rec.Ordinal == found.rec.Ordinal && l.rec.Slot < found.rec.Slot {
			found = l
		}
	}
	return found
}

// maxOrdinal is the greatest ordinal of any lease known.
func (t *table) maxOrdinal() uint64 {
	if t.topGone {
		t.topOrdinal, t.topGone = 0, false
		for _, l := range t.leases {
			t.topOrdinal = max(t.topOrdinal, l.rec.Ordinal)
		}
	}
	return t.topOrdinal
}

// sortedNodes and sortedSlots give map keys in an order that does not vary
// from run to run.
func (t *table) sortedNodes() []NodeID { return slices.SortedFunc(maps.Keys(t.nodes), compareIDs) }

func (t *table) sortedSlots() []Slot { return slices.Sorted(maps.Keys(t.leases)) }

func compareIDs(a, b NodeID) int { return bytes.Compare(a[:], b[:]) }

// buckets is the number of parts a digest divides the table into: two nodes
// that differ in a few records exchange a few parts only.
const buckets = 32

// bucketOf assigns a record, by the hash of its key, to a part.
func bucketOf(kind recordKind, key []byte) int {
	h := fnv.New64a()
	_, _ = h.Write([]byte{byte(kind)})
	_, _ = h.Write(key)
	return int(h.Sum64() % buckets)
}

// bucketOfNode is the part of a node's records, node and forget records alike.
func bucketOfNode(id NodeID) int { return bucketOf(kindNode, id[:]) }

// digest is a hash of each part, kept up to date with every record.
type digest [buckets]uint64

// bytes is the digest as it travels.
func (d *digest) bytes() []byte {
	b := make([]byte, 0, 8*buckets)
	for _, part := range d {
		b = binary.BigEndian.AppendUint64(b, part)
	}
	return b
}

// differing is the set of parts (bit i: part i) that are others than in a digest
// that came as bytes; not ok when those are none.
func (d *digest) differing(b []byte) (mask uint32, ok bool) {
	if len(b) != 8*buckets {
		return 0, false
	}
	for i, part := range d {
		if part != binary.BigEndian.Uint64(b[8*i:]) {
			mask |= 1 << i
		}
	}
	return mask, true
}

// sumOf is what a record adds to its part by exclusive or: the order of records
// does not matter.
func sumOf(raw []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(raw)
	return mix(h.Sum64())
}

// mix spreads a hash's bits (the finalizer of SplitMix64), so that the
// exclusive or of related records does not cancel out.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// records returns the encoded records of the parts in mask (bit i: part i),
// in an order that does not vary.
func (t *table) records(mask uint32) [][]byte {
	var all [][]byte
	add := func(part int, raw []byte, former bool) {
		if mask&(1<<part) != 0 && !former {
			all = append(all, raw)
		}
	}
	for _, n := range t.nodes {
		add(n.part, n.raw, n.former)
	}
	for _, l := range t.leases {
		add(l.part, l.raw, l.former)
	}
	for id, f := range t.forgets {
		add(bucketOfNode(id), f.raw, false)
	}
	slices.SortFunc(all, bytes.Compare)
	return all
}

// formerRecords are those of the format before this one, as they are kept on
// disk.
func (t *table) formerRecords() [][]byte {
	var all [][]byte
	for _, n := range t.nodes {
		if n.former {
			all = append(all, n.raw)
		}
	}
	for _, l := range t.leases {
		if l.former {
			all = append(all, l.raw)
		}
	}
	slices.SortFunc(all, bytes.Compare)
	return all
}
