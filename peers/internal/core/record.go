package core

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/netip"
)

// NodeRecord is what a node says of itself. Its node alone writes it; the
// greater (Start, Version) wins.
type NodeRecord struct {
	Key      []byte         `cbor:"1,keyasint"` // Ed25519 public key, 32 bytes
	Start    uint64         `cbor:"2,keyasint"` // grows by one with every start of the daemon
	Version  uint64         `cbor:"3,keyasint"` // grows with every change within a start
	Instance uint64         `cbor:"4,keyasint"` // random for each start: tells a clone from a restart
	Name     string         `cbor:"5,keyasint"` // for people; at most 253 bytes
	Endpoint netip.AddrPort `cbor:"6,keyasint"` // where datagrams go
	Gossip   netip.AddrPort `cbor:"7,keyasint"` // where gossip goes
	MTU      uint16         `cbor:"8,keyasint"` // of its overlay device, bytes
	Caps     uint64         `cbor:"9,keyasint"` // what it understands beyond plain datagrams, a bit each
	Left     bool           `cbor:"10,keyasint"`
}

// LeaseRecord says who holds a slot. Of two records for one slot the one that
// wins is decided by compareLeases alone.
type LeaseRecord struct {
	Slot  Slot   `cbor:"1,keyasint"`
	Epoch uint64 `cbor:"2,keyasint"` // grows with every change of the slot's holder
	// Holder is zero when the slot was handed back or its holder forgotten.
	Holder NodeID `cbor:"3,keyasint"`
	Pinned bool   `cbor:"4,keyasint"` // asked for by --subnet
	// Ordinal orders leases by age without a clock: one more than the
	// greatest that was known when the lease was confirmed.
	Ordinal uint64 `cbor:"5,keyasint"`
	// Electors and Promises are the grant: how many holders decided, and
	// how many of them promised.
	Electors uint32 `cbor:"6,keyasint"`
	Promises uint32 `cbor:"7,keyasint"`
	Key      []byte `cbor:"8,keyasint"` // the writer's public key: the holder's, where there is one
}

// ForgetRecord strikes out a node as of a start: its node record up to and
// including that start is dropped, everywhere. A later start is welcome.
type ForgetRecord struct {
	Node  NodeID `cbor:"1,keyasint"`
	Start uint64 `cbor:"2,keyasint"`
	Key   []byte `cbor:"3,keyasint"` // the writer's public key
}

// ID is the node the record is about.
func (r *NodeRecord) ID() NodeID { return nodeIDOf(r.Key) }

const maxNameLen = 253 // RFC 1035 section 3.1: the longest host name

func (r *NodeRecord) validate(usable func(netip.AddrPort) bool) error {
	switch {
	case len(r.Name) > maxNameLen:
		return fmt.Errorf("node name of %d bytes", len(r.Name))
	case !usable(r.Endpoint):
		return fmt.Errorf("endpoint %s cannot be a peer's", r.Endpoint)
	case !usable(r.Gossip):
		return fmt.Errorf("gossip endpoint %s cannot be a peer's", r.Gossip)
	}
	return nil
}

var broadcast4 = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// usableEndpoint refuses what no peer can be reached at, and what would make
// a peer's datagrams come back at ourselves: addresses inside the overlay, and
// loopback unless our own underlay is loopback.
func (t *table) usableEndpoint(e netip.AddrPort) bool {
	a := e.Addr()
	return e.Port() != 0 && a.Is4() &&
		!a.IsUnspecified() && !a.IsMulticast() && a != broadcast4 &&
		!t.network.Prefix.Contains(a) && (t.loopback || !a.IsLoopback())
}

func (r *LeaseRecord) validate(n Network) error {
	switch {
	case r.Slot == 0 || r.Slot >= n.Slots():
		return fmt.Errorf("slot %d is not one of the network's %d", r.Slot, n.Slots())
	case r.Epoch == 0:
		return errors.New("epoch 0")
	case !r.Holder.IsZero() && r.Holder != nodeIDOf(r.Key):
		return errors.New("lease not signed by its holder")
	case !r.Holder.IsZero() && r.Electors > 0 && r.Promises < r.Electors/2:
		return fmt.Errorf("lease granted by %d of %d", r.Promises, r.Electors)
	}
	return nil
}

// compareNodes orders two records of one node.
func compareNodes(a, b *stored[NodeRecord]) int {
	return cmp.Or(
		cmp.Compare(a.rec.Start, b.rec.Start),
		cmp.Compare(a.rec.Version, b.rec.Version),
		bytes.Compare(a.raw, b.raw),
	)
}

// compareLeases orders two records of one slot; the greater one wins,
// everywhere, whatever order they arrive in: the higher epoch; then held before
// free; then pinned before chosen; then the older grant; then the lower ID.
// The epoch comes first, before the pin: otherwise no record could ever hand a
// pinned slot back.
func compareLeases(a, b *stored[LeaseRecord]) int {
	return cmp.Or(
		cmp.Compare(a.rec.Epoch, b.rec.Epoch),
		compareBool(!a.rec.Holder.IsZero(), !b.rec.Holder.IsZero()),
		compareBool(a.rec.Pinned, b.rec.Pinned),
		cmp.Compare(b.rec.Ordinal, a.rec.Ordinal),
		bytes.Compare(b.rec.Holder[:], a.rec.Holder[:]),
		bytes.Compare(a.raw, b.raw),
	)
}

func compareForgets(a, b *stored[ForgetRecord]) int {
	return cmp.Or(cmp.Compare(a.rec.Start, b.rec.Start), bytes.Compare(a.raw, b.raw))
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
