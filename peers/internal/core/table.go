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
	digest   digest
	known    knownRecords
	// changes grows with every change, leaseChanges with every change of a
	// lease; they begin at 1.
	changes, leaseChanges uint64
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

// take merges one encoded record. An older or equal record changes nothing and
// is no error; one that is malformed or not signed by whom it names is.
func (t *table) take(raw []byte) (change, error) {
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
		c, err = t.takeNode(e, raw)
	case kindLease:
		c, err = t.takeLease(e, raw)
	case kindForget:
		c, err = t.takeForget(e, raw)
	default: // a later version's; it reaches those who know it by other ways
	}
	if err != nil {
		return change{}, fmt.Errorf("core: record of kind %d: %w", e.Kind, err)
	}
	return c, nil
}

func (t *table) takeNode(e envelope, raw []byte) (change, error) {
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
	if err := errors.Join(e.verify(t.signer, t.netID, s.rec.Key), s.rec.validate(t.usableEndpoint)); err != nil {
		return change{}, err
	}
	s.part, s.sum = bucketOf(kindNode, id[:]), sumOf(raw)
	t.dropNode(id)
	t.nodes[id] = s
	t.enter(s.part, s.sum, raw)
	return change{node: &s.rec}, nil
}

func (t *table) dropNode(id NodeID) {
	if n := t.nodes[id]; n != nil {
		t.strike(n.part, n.sum, n.raw)
		delete(t.nodes, id)
	}
}

// enter and strike keep up to date what is derived from all records.
func (t *table) enter(part int, sum uint64, raw []byte) {
	t.digest[part] ^= sum
	t.known.add(raw)
	t.changes++
}

func (t *table) strike(part int, sum uint64, raw []byte) {
	t.digest[part] ^= sum
	t.known.drop(raw)
	t.changes++
}

// isStruckOut reports whether a node was forgotten as of this start or a later one.
func (t *table) isStruckOut(id NodeID, start uint64) bool {
	f := t.forgets[id]
	return f != nil && start <= f.rec.Start
}

func (t *table) takeLease(e envelope, raw []byte) (change, error) {
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
	s.part, s.sum = bucketOf(kindLease, binary.BigEndian.AppendUint32(nil, uint32(s.rec.Slot))), sumOf(raw)
	t.putLease(s)
	c := change{lease: &s.rec}
	if old != nil {
		c.replaced = &old.rec
	}
	return c, nil
}

func (t *table) putLease(s *stored[LeaseRecord]) {
	t.dropLease(s.rec.Slot)
	t.leases[s.rec.Slot] = s
	t.enter(s.part, s.sum, s.raw)
}

func (t *table) dropLease(s Slot) {
	t.leaseChanges++
	if l := t.leases[s]; l != nil {
		t.strike(l.part, l.sum, l.raw)
		delete(t.leases, s)
	}
}

func (t *table) takeForget(e envelope, raw []byte) (change, error) {
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
	if err := e.verify(t.signer, t.netID, s.rec.Key); err != nil {
		return change{}, err
	}
	s.part, s.sum = bucketOf(kindForget, id[:]), sumOf(raw)
	if old != nil {
		t.strike(old.part, old.sum, old.raw)
	}
	t.forgets[id] = s
	t.enter(s.part, s.sum, raw)
	if n := t.nodes[id]; n != nil && n.rec.Start <= s.rec.Start {
		t.dropNode(id)
	}
	return change{forgot: id}, nil
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
	for _, l := range t.leases {
		if l.rec.Holder != id {
			continue
		}
		if found == nil || l.rec.Ordinal < found.rec.Ordinal || l.rec.Ordinal == found.rec.Ordinal && l.rec.Slot < found.rec.Slot {
			found = l
		}
	}
	return found
}

// maxOrdinal is the greatest ordinal of any lease known.
func (t *table) maxOrdinal() uint64 {
	var m uint64
	for _, l := range t.leases {
		m = max(m, l.rec.Ordinal)
	}
	return m
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
	add := func(part int, raw []byte) {
		if mask&(1<<part) != 0 {
			all = append(all, raw)
		}
	}
	for _, n := range t.nodes {
		add(n.part, n.raw)
	}
	for _, l := range t.leases {
		add(l.part, l.raw)
	}
	for _, f := range t.forgets {
		add(f.part, f.raw)
	}
	slices.SortFunc(all, bytes.Compare)
	return all
}
