// SPDX-License-Identifier: Apache-2.0

package record

import (
	"encoding/binary"
	"errors"
	"slices"
)

func (t *Table) takeLease(e Envelope, raw []byte, g Gate) (Change, error) {
	s := &Stored[LeaseRecord]{Raw: raw}
	if err := decoder.Unmarshal(e.Payload, &s.Rec); err != nil {
		return Change{}, err
	}
	old := t.Leases[s.Rec.Slot]
	switch {
	case old != nil && compareLeases(s, old) <= 0:
		return Change{}, nil
	case old == nil && len(t.Leases) >= MaxLeases:
		return Change{}, ErrTableFull
	}
	if err := errors.Join(s.Rec.validate(t.Network), e.verify(t.Signer, t.NetID, s.Rec.Key)); err != nil {
		return Change{}, err
	}
	if g != nil && !g.Lease(old, &s.Rec, raw) {
		return Change{}, nil
	}
	t.PutLease(s)
	c := Change{Lease: &s.Rec}
	if old != nil {
		c.Replaced = &old.Rec
	}
	return c, nil
}

// PutLease puts a lease in place of the slot's present one, without any check.
func (t *Table) PutLease(s *Stored[LeaseRecord]) {
	s.Part, s.Sum = partOf(KindLease, binary.BigEndian.AppendUint32(nil, uint32(s.Rec.Slot))), sumOf(s.Raw)
	t.DropLease(s.Rec.Slot)
	t.Leases[s.Rec.Slot] = s
	t.topOrdinal = max(t.topOrdinal, s.Rec.Ordinal)
	if s.Former {
		t.FormerLeases++
	}
	if id := s.Rec.Holder; !id.IsZero() {
		t.Held[id] = append(t.Held[id], s.Rec.Slot)
		if t.holders[id] != nil || len(t.holders) < MaxNodes {
			t.holders[id] = s.Rec.Key
		}
	}
	t.enter(s.Part, s.Sum, s.Raw, s.Former)
}

// DropLease takes a slot's lease out of the table, if there is one.
func (t *Table) DropLease(s Slot) {
	t.LeaseChanges++
	l := t.Leases[s]
	if l == nil {
		return
	}
	t.strike(l.Part, l.Sum, l.Raw, l.Former)
	delete(t.Leases, s)
	t.topGone = t.topGone || l.Rec.Ordinal == t.topOrdinal
	if l.Former {
		t.FormerLeases--
	}
	if id := l.Rec.Holder; !id.IsZero() {
		t.Held[id] = slices.DeleteFunc(t.Held[id], func(o Slot) bool { return o == s })
		if len(t.Held[id]) == 0 {
			delete(t.Held, id)
		}
	}
}

// KeyOf is the public key of a node that holds a lease or has held one; nil for
// any other.
func (t *Table) KeyOf(id NodeID) []byte {
	if l := t.HeldBy(id); l != nil {
		return l.Rec.Key
	}
	return t.holders[id]
}

// HeldBy is the lease a node holds, or nil. Should the table name it as the
// holder of more than one slot, the oldest grant counts, so that all agree.
func (t *Table) HeldBy(id NodeID) *Stored[LeaseRecord] {
	var found *Stored[LeaseRecord]
	for _, s := range t.Held[id] {
		l := t.Leases[s]
		if found == nil || l.Rec.Ordinal < found.Rec.Ordinal || l.Rec.Ordinal == found.Rec.Ordinal && l.Rec.Slot < found.Rec.Slot {
			found = l
		}
	}
	return found
}

// MaxOrdinal is the greatest ordinal of any lease known.
func (t *Table) MaxOrdinal() uint64 {
	if t.topGone {
		t.topOrdinal, t.topGone = 0, false
		for _, l := range t.Leases {
			t.topOrdinal = max(t.topOrdinal, l.Rec.Ordinal)
		}
	}
	return t.topOrdinal
}
