// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Limits on what a table takes in. They bound memory and files against a
// member that makes things up; no network is meant to come near them.
const (
	MaxNodes   = 8192
	MaxForgets = 4096
	MaxLeases  = 1 << 16 // slots that were ever used, free ones included
	maxRecords = 1 << 17
)

// Stored is a record with the bytes it came in, and what it does to the digest.
// It belongs to its table: others only read it.
type Stored[T any] struct {
	Rec  T
	Raw  []byte // the encoded envelope
	Part int    // of the digest
	Sum  uint64 // in that part
	// Former says that Raw is of the format before this one. It is known
	// from this node's own disk only, kept there, and sent to no other
	// node.
	Former bool
	Since  time.Duration // when a forget record, or the first record of a node, was taken in
}

// Table is the node table: the winning record for every key. Its fields are for
// reading; methods change them.
type Table struct {
	Network Network
	NetID   NetworkID // of Network
	Signer  Signer    // checks signatures
	// loopback says that the underlay is this machine's loopback, so that
	// peers' endpoints may be there too.
	loopback bool
	Nodes    map[NodeID]*Stored[NodeRecord]
	Leases   map[Slot]*Stored[LeaseRecord]
	Forgets  map[NodeID]*Stored[ForgetRecord]
	Held     map[NodeID][]Slot // the slots of each holder in Leases
	// holders are the public keys of all nodes that have held a lease:
	// their vouchers count, also after that.
	holders map[NodeID][]byte
	Digest  Digest
	known   knownRecords
	// Changes grows with every change, LeaseChanges with every change of a
	// lease; they begin at 1.
	Changes, LeaseChanges uint64
	FormerLeases          int    // leases of the format before this one
	topOrdinal            uint64 // see MaxOrdinal
	topGone               bool   // the lease that topOrdinal is from was dropped
	Moves                 uint64 // grows when a node is new, or at another endpoint
}

// NewTable makes an empty table. Loopback says that the underlay is this
// machine's loopback.
func NewTable(n Network, loopback bool, s Signer) *Table {
	return &Table{
		Network:  n,
		NetID:    n.ID(),
		Signer:   s,
		loopback: loopback,
		Nodes:    map[NodeID]*Stored[NodeRecord]{},
		Leases:   map[Slot]*Stored[LeaseRecord]{},
		Forgets:  map[NodeID]*Stored[ForgetRecord]{},
		Held:     map[NodeID][]Slot{},
		holders:  map[NodeID][]byte{},
		known:    knownRecords{},

		Changes: 1, LeaseChanges: 1,
	}
}

// Change is what a record did to a table. One of Node, Lease and Forgot is set,
// or none if nothing changed. Replaced is the lease that Lease replaces, nil
// without one.
type Change struct {
	Node     *NodeRecord
	Lease    *LeaseRecord
	Replaced *LeaseRecord
	Forgot   NodeID
}

// Any reports whether the table changed.
func (c Change) Any() bool { return c.Node != nil || c.Lease != nil || !c.Forgot.IsZero() }

// ErrTableFull means that a table has no room for the key of a record.
var ErrTableFull = errors.New("node table is full")

// Gate decides whether a record that is genuine and newer is taken now. What it
// turns away is no error: it may be taken later. Nil takes everything.
type Gate interface {
	Lease(old *Stored[LeaseRecord], rec *LeaseRecord, raw []byte) bool
	Forget(rec *ForgetRecord, raw []byte) bool
	Node(old *Stored[NodeRecord], rec *NodeRecord) bool
}

// Take merges one encoded record. An older or equal record changes nothing and
// is no error. A record is an error if it is malformed, or not signed by the
// node that it names.
func (t *Table) Take(raw []byte, g Gate) (Change, error) {
	if t.known.has(raw) {
		return Change{}, nil
	}
	e, err := OpenEnvelope(raw)
	if err != nil {
		return Change{}, fmt.Errorf("record: %w", err)
	}
	var c Change
	switch e.Kind {
	case KindNode:
		c, err = t.takeNode(e, raw, g)
	case KindLease:
		c, err = t.takeLease(e, raw, g)
	case KindForget:
		c, err = t.takeForget(e, raw, g)
	default: // a later version's; nodes that know it get it in other ways
	}
	if err != nil {
		return Change{}, fmt.Errorf("record of kind %d: %w", e.Kind, err)
	}
	return c, nil
}

func (t *Table) takeNode(e Envelope, raw []byte, g Gate) (Change, error) {
	s := &Stored[NodeRecord]{Raw: raw}
	if err := decoder.Unmarshal(e.Payload, &s.Rec); err != nil {
		return Change{}, err
	}
	id := s.Rec.ID()
	old := t.Nodes[id]
	switch {
	case old != nil && compareNodes(s, old) <= 0, t.isStruckOut(id, s.Rec.Start):
		return Change{}, nil
	case old == nil && len(t.Nodes) >= MaxNodes:
		return Change{}, ErrTableFull
	}
	if err := errors.Join(s.Rec.validate(t), e.verify(t.Signer, t.NetID, s.Rec.Key)); err != nil {
		return Change{}, err
	}
	if g != nil && !g.Node(old, &s.Rec) {
		return Change{}, nil
	}
	t.putNode(s)
	return Change{Node: &s.Rec}, nil
}

func (t *Table) putNode(s *Stored[NodeRecord]) {
	id := s.Rec.ID()
	s.Part, s.Sum = partOfNode(id), sumOf(s.Raw)
	old := t.Nodes[id]
	if old != nil {
		s.Since = old.Since
	}
	if old == nil || old.Rec.Endpoint() != s.Rec.Endpoint() {
		t.Moves++
	}
	t.dropNode(id)
	t.Nodes[id] = s
	t.enter(s.Part, s.Sum, s.Raw, s.Former)
}

func (t *Table) dropNode(id NodeID) {
	if n := t.Nodes[id]; n != nil {
		t.strike(n.Part, n.Sum, n.Raw, n.Former)
		delete(t.Nodes, id)
	}
}

// enter and strike keep up to date what is derived from all records.
func (t *Table) enter(part int, sum uint64, raw []byte, former bool) {
	t.Changes++
	if !former {
		t.Digest[part] ^= sum
		t.known.add(raw)
	}
}

func (t *Table) strike(part int, sum uint64, raw []byte, former bool) {
	t.Changes++
	if !former {
		t.Digest[part] ^= sum
		t.known.drop(raw)
	}
}

// isStruckOut reports whether a node was forgotten as of this start or a later
// one.
func (t *Table) isStruckOut(id NodeID, start uint64) bool {
	f := t.Forgets[id]
	return f != nil && start <= f.Rec.Start && !(f.Rec.Faded && t.HeldBy(id) != nil)
}

func (t *Table) takeForget(e Envelope, raw []byte, g Gate) (Change, error) {
	s := &Stored[ForgetRecord]{Raw: raw}
	if err := decoder.Unmarshal(e.Payload, &s.Rec); err != nil {
		return Change{}, err
	}
	id := s.Rec.Node
	old := t.Forgets[id]
	switch {
	case old != nil && compareForgets(s, old) <= 0:
		return Change{}, nil
	case old == nil && len(t.Forgets) >= MaxForgets:
		return Change{}, ErrTableFull
	}
	if err := errors.Join(BoundCounters(s.Rec.Start), e.verify(t.Signer, t.NetID, s.Rec.Key)); err != nil {
		return Change{}, err
	}
	if g != nil && !g.Forget(&s.Rec, raw) {
		return Change{}, nil
	}
	t.DropForget(id)
	t.Forgets[id] = s
	t.Changes++
	t.known.add(raw)
	if n := t.Nodes[id]; n != nil && n.Rec.Start <= s.Rec.Start {
		t.dropNode(id)
	}
	return Change{Forgot: id}, nil
}

// DropForget ends a forget record. It is not part of the digest, since nodes
// drop theirs at different times. It matters only to a node that still has the
// node record, and travels with that record's part of the table.
func (t *Table) DropForget(id NodeID) {
	if f := t.Forgets[id]; f != nil {
		t.Changes++
		t.known.drop(f.Raw)
		delete(t.Forgets, id)
	}
}

// SortedNodes are the IDs of all nodes, in ascending order.
func (t *Table) SortedNodes() []NodeID { return slices.SortedFunc(maps.Keys(t.Nodes), CompareIDs) }

// SortedSlots are the slots of all leases, in ascending order.
func (t *Table) SortedSlots() []Slot { return slices.Sorted(maps.Keys(t.Leases)) }

// CompareIDs orders node IDs: -1, 0 or 1.
func CompareIDs(a, b NodeID) int { return bytes.Compare(a[:], b[:]) }

// Records returns the encoded records of the parts in mask (bit i: part i),
// in an order that does not vary.
func (t *Table) Records(mask uint32) [][]byte {
	var all [][]byte
	add := func(part int, raw []byte, former bool) {
		if mask&(1<<part) != 0 && !former {
			all = append(all, raw)
		}
	}
	for _, n := range t.Nodes {
		add(n.Part, n.Raw, n.Former)
	}
	for _, l := range t.Leases {
		add(l.Part, l.Raw, l.Former)
	}
	for id, f := range t.Forgets {
		add(partOfNode(id), f.Raw, false)
	}
	slices.SortFunc(all, bytes.Compare)
	return all
}

// FormerRecords are those of the format before this one, as they are kept on
// disk.
func (t *Table) FormerRecords() [][]byte {
	var all [][]byte
	for _, n := range t.Nodes {
		if n.Former {
			all = append(all, n.Raw)
		}
	}
	for _, l := range t.Leases {
		if l.Former {
			all = append(all, l.Raw)
		}
	}
	slices.SortFunc(all, bytes.Compare)
	return all
}
