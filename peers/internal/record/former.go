// SPDX-License-Identifier: Apache-2.0

package record

import (
	"crypto/ed25519"
	"net/netip"
)

// What flanneld 0.1 left in a state directory. Its records are signed over
// another domain string and carry no vouchers, and any key could sign one that
// frees a slot. So they are believed only from this node's own disk. A record
// of this format takes the place of each as soon as its node has been upgraded,
// too.

// formerNode is a node record of 0.1.
type formerNode struct {
	Key      []byte         `cbor:"1,keyasint"`
	Start    uint64         `cbor:"2,keyasint"`
	Version  uint64         `cbor:"3,keyasint"`
	Instance uint64         `cbor:"4,keyasint"`
	Name     string         `cbor:"5,keyasint"`
	Endpoint netip.AddrPort `cbor:"6,keyasint"`
	Gossip   netip.AddrPort `cbor:"7,keyasint"`
	MTU      uint16         `cbor:"8,keyasint"`
	Left     bool           `cbor:"10,keyasint"`
}

// formerLease is a lease record of 0.1.
type formerLease struct {
	Slot     Slot   `cbor:"1,keyasint"`
	Epoch    uint64 `cbor:"2,keyasint"`
	Holder   NodeID `cbor:"3,keyasint"`
	Pinned   bool   `cbor:"4,keyasint"`
	Ordinal  uint64 `cbor:"5,keyasint"`
	Electors uint32 `cbor:"6,keyasint"`
	Promises uint32 `cbor:"7,keyasint"`
	Key      []byte `cbor:"8,keyasint"`
}

// formerSignedBytes is what 0.1 signed.
func formerSignedBytes(net NetworkID, kind Kind, payload []byte) []byte {
	b := append([]byte("flanneld record 1\x00"), net[:]...)
	return append(append(b, byte(kind)), payload...)
}

// openFormer opens a record of 0.1 and checks its signature.
func (t *Table) openFormer(raw []byte, rec any, key *[]byte) bool {
	e, err := OpenEnvelope(raw)
	if err != nil || decoder.Unmarshal(e.Payload, rec) != nil || len(*key) != ed25519.PublicKeySize {
		return false
	}
	return ed25519.Verify(*key, formerSignedBytes(t.NetID, e.Kind, e.Payload), e.Sig)
}

// record is the lease in the present format, as far as that is known.
func (l *formerLease) record() LeaseRecord {
	r := LeaseRecord{
		Slot: l.Slot, Epoch: min(l.Epoch, MaxCounter), Holder: l.Holder, Pinned: l.Pinned, Ordinal: min(l.Ordinal, MaxCounter),
		Electors: l.Electors, Promises: l.Promises, Key: l.Key,
	}
	if r.Holder.IsZero() {
		r.Freed = NodeIDOf(l.Key)
	}
	return r
}

// TakeFormer takes up a record of 0.1 from this node's disk. What is malformed,
// or known better, is left out.
func (t *Table) TakeFormer(raw []byte) {
	e, err := OpenEnvelope(raw)
	if err != nil {
		return
	}
	switch e.Kind {
	case KindNode:
		t.takeFormerNode(raw)
	case KindLease:
		t.takeFormerLease(raw)
	}
}

func (t *Table) takeFormerNode(raw []byte) {
	var n formerNode
	if !t.openFormer(raw, &n, &n.Key) {
		return
	}
	s := &Stored[NodeRecord]{Raw: raw, Former: true, Rec: NodeRecord{
		Key: n.Key, Start: min(n.Start, MaxCounter), Version: min(n.Version, MaxCounter), Instance: n.Instance, Name: n.Name,
		Endpoints: EndpointsOf(n.Endpoint), GossipEndpoints: EndpointsOf(n.Gossip), MTU: n.MTU, Left: n.Left,
		ProtocolMin: MessageVersionMin, ProtocolMax: MessageVersionMin,
	}}
	old := t.Nodes[s.Rec.ID()]
	if s.Rec.validate(t) == nil && (old != nil || len(t.Nodes) < MaxNodes) && (old == nil || compareNodes(s, old) > 0) {
		t.putNode(s)
	}
}

func (t *Table) takeFormerLease(raw []byte) {
	rec, ok := t.OpenFormerLease(raw)
	if !ok {
		return
	}
	s := &Stored[LeaseRecord]{Raw: raw, Former: true, Rec: rec}
	old := t.Leases[s.Rec.Slot]
	if s.Rec.validate(t.Network) == nil && (old != nil || len(t.Leases) < MaxLeases) && (old == nil || compareLeases(s, old) > 0) {
		t.PutLease(s)
	}
}

// OpenFormerLease opens a lease record of 0.1, in the present format, and
// checks its signature.
func (t *Table) OpenFormerLease(raw []byte) (rec LeaseRecord, ok bool) {
	var l formerLease
	if !t.openFormer(raw, &l, &l.Key) {
		return LeaseRecord{}, false
	}
	return l.record(), true
}
