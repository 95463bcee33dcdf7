// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
)

// NodeRecord is what a node says of itself. Its node alone writes it; the
// greater (Start, Version) wins.
type NodeRecord struct {
	Key      []byte `cbor:"1,keyasint"` // Ed25519 public key, 32 bytes
	Start    uint64 `cbor:"2,keyasint"` // grows with every start of the daemon
	Version  uint64 `cbor:"3,keyasint"` // grows with every change within a start
	Instance uint64 `cbor:"4,keyasint"` // random for each start: tells a clone from a restart
	Name     string `cbor:"5,keyasint"` // for people; printable, at most 253 bytes
	// Endpoints are where datagrams go, GossipEndpoints where gossip goes;
	// in each list the preferred one comes first. At least one of each is
	// IPv4.
	Endpoints       []Endpoint `cbor:"6,keyasint"`
	GossipEndpoints []Endpoint `cbor:"7,keyasint"`
	MTU             uint16     `cbor:"8,keyasint"` // of its overlay device, bytes
	// Caps is what the node understands beyond plain datagrams, at most 16
	// entries. A format that only some nodes read is used between two nodes
	// that both announce it.
	Caps []Capability `cbor:"9,keyasint,omitempty"`
	Left bool         `cbor:"10,keyasint"`
	// SealKey is the public key for sealed datagrams: 32 bytes, or none.
	SealKey []byte `cbor:"11,keyasint,omitempty"`
	// ProtocolMin and ProtocolMax are the message versions the node reads.
	ProtocolMin uint8 `cbor:"12,keyasint"`
	ProtocolMax uint8 `cbor:"13,keyasint"`
}

// LeaseRecord says which node holds a slot. compareLeases alone decides which
// of two records for one slot wins.
type LeaseRecord struct {
	Slot  Slot   `cbor:"1,keyasint"`
	Epoch uint64 `cbor:"2,keyasint"` // grows with every change of the slot's holder
	// Holder is zero when the slot was handed back or its holder forgotten.
	Holder NodeID `cbor:"3,keyasint"`
	Pinned bool   `cbor:"4,keyasint"` // asked for by --subnet
	// Ordinal orders leases by age without a clock: one more than the
	// greatest that was known when the lease was asked for.
	Ordinal uint64 `cbor:"5,keyasint"`
	// Electors and Promises are the grant: how many holders decided, and
	// how many promised.
	Electors uint32 `cbor:"6,keyasint"`
	Promises uint32 `cbor:"7,keyasint"`
	Key      []byte `cbor:"8,keyasint"` // the writer's public key: the holder's, where there is one
	// Claim is the number of the claim that the vouchers are for.
	Claim ClaimID `cbor:"9,keyasint,omitzero"`
	// Vouchers are up to maxVouchers signed promises, see voucher.go.
	Vouchers Vouchers `cbor:"10,keyasint,omitempty"`
	// Granted is the epoch of the grant, where the holder has affirmed its
	// lease since; 0: it is Epoch.
	Granted uint64 `cbor:"12,keyasint,omitempty"`
	// Freed is the former holder, in a record without a holder.
	Freed NodeID `cbor:"11,keyasint,omitzero"`
}

// ForgetRecord strikes out a node as of a start: its node record up to and
// including that start is dropped, everywhere. A later start is welcome.
type ForgetRecord struct {
	Node  NodeID `cbor:"1,keyasint"`
	Start uint64 `cbor:"2,keyasint"`
	Key   []byte `cbor:"3,keyasint"` // the writer's public key
	// Faded: the node held no lease, and its record was of no use; see
	// fade.go.
	Faded bool `cbor:"4,keyasint,omitempty"`
}

// ID is the node the record is about.
func (r *NodeRecord) ID() NodeID { return NodeIDOf(r.Key) }

// GrantEpoch is the epoch that the vouchers are for.
func (r *LeaseRecord) GrantEpoch() uint64 {
	switch {
	case r.Granted > 0:
		return r.Granted
	case r.Holder.IsZero():
		return r.Epoch - 1
	}
	return r.Epoch
}

// Claimant is the node that begins or ends its hold on the slot with the
// record.
func (r *LeaseRecord) Claimant() NodeID {
	if r.Holder.IsZero() {
		return r.Freed
	}
	return r.Holder
}

const maxNameLen = 253 // RFC 1035 section 3.1: the longest host name

func (r *NodeRecord) validate(t *Table) error {
	if !Printable(r.Name, maxNameLen) {
		return fmt.Errorf("node name %q is not printable, or has more than %d bytes", r.Name[:min(len(r.Name), maxNameLen)], maxNameLen)
	}
	if len(r.SealKey) != 0 && len(r.SealKey) != sealKeySize {
		return fmt.Errorf("sealing key of %d bytes", len(r.SealKey))
	}
	if r.ProtocolMin == 0 || r.ProtocolMin > r.ProtocolMax {
		return fmt.Errorf("protocol versions %d to %d", r.ProtocolMin, r.ProtocolMax)
	}
	return errors.Join(
		BoundCounters(r.Start, r.Version),
		t.checkEndpoints("endpoint", r.Endpoints),
		t.checkEndpoints("gossip endpoint", r.GossipEndpoints),
		CheckCaps(r.Caps),
	)
}

// BoundCounters refuses counters above maxCounter.
func BoundCounters(counters ...uint64) error {
	for _, n := range counters {
		if n > MaxCounter {
			return fmt.Errorf("counter %d is above %d", n, uint64(MaxCounter))
		}
	}
	return nil
}

func (r *LeaseRecord) validate(n Network) error {
	writer := NodeIDOf(r.Key)
	switch {
	case r.Slot == 0 && !r.Pinned:
		return errors.New("the first subnet is held by a pin only")
	case r.Slot >= n.Slots():
		return fmt.Errorf("slot %d is not one of the network's %d", r.Slot, n.Slots())
	case r.Epoch == 0:
		return errors.New("epoch 0")
	case r.Granted >= r.Epoch:
		return fmt.Errorf("lease of epoch %d granted at epoch %d", r.Epoch, r.Granted)
	case !r.Holder.IsZero() && r.Holder != writer:
		return errors.New("lease not signed by its holder")
	case !r.Holder.IsZero() && !r.Freed.IsZero():
		return errors.New("lease both held and freed")
	case r.Holder.IsZero() && r.Freed.IsZero():
		return errors.New("freed lease without a former holder")
	case !r.Holder.IsZero() && r.Electors > 0 && r.Promises < r.Electors/2:
		return fmt.Errorf("lease granted by %d of %d", r.Promises, r.Electors)
	}
	return errors.Join(r.Claim.Validate(), BoundCounters(r.Epoch, r.Ordinal), r.Vouchers.validate())
}

// compareNodes orders two records of one node.
func compareNodes(a, b *Stored[NodeRecord]) int {
	return cmp.Or(
		cmp.Compare(a.Rec.Start, b.Rec.Start),
		cmp.Compare(a.Rec.Version, b.Rec.Version),
		compareBool(!a.Former, !b.Former),
		bytes.Compare(a.Raw, b.Raw),
	)
}

// compareLeases orders two records of one slot. The greater one wins
// everywhere, in whatever order they arrive. The first criterion that differs
// decides. The higher epoch comes first, then held before free, granted before
// affirmed, and two vouchers before fewer. Then come pinned before chosen, the
// older grant, and the lower ID. The epoch comes before the pin: otherwise no
// record could ever hand a pinned slot back. A record of the format before this
// one yields to its like.
func compareLeases(a, b *Stored[LeaseRecord]) int {
	return cmp.Or(
		cmp.Compare(a.Rec.Epoch, b.Rec.Epoch),
		compareBool(!a.Rec.Holder.IsZero(), !b.Rec.Holder.IsZero()),
		compareBool(a.Rec.Granted == 0, b.Rec.Granted == 0),
		compareBool(a.Rec.Vouchers.Count() >= DisputeLeast, b.Rec.Vouchers.Count() >= DisputeLeast),
		compareBool(a.Rec.Pinned, b.Rec.Pinned),
		cmp.Compare(b.Rec.Ordinal, a.Rec.Ordinal),
		bytes.Compare(b.Rec.Holder[:], a.Rec.Holder[:]),
		compareBool(!a.Former, !b.Former),
		bytes.Compare(a.Raw, b.Raw),
	)
}

func compareForgets(a, b *Stored[ForgetRecord]) int {
	return cmp.Or(
		cmp.Compare(a.Rec.Start, b.Rec.Start),
		compareBool(!a.Rec.Faded, !b.Rec.Faded),
		bytes.Compare(a.Raw, b.Raw),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
