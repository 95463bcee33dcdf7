// SPDX-License-Identifier: Apache-2.0

package core

import (
	"errors"
	"fmt"
	"net/netip"

	"flanneld/peers/internal/record"
)

// durable is the state that must never be lost. It is written and synced before
// anything that depends on it is sent or done.
type durable struct {
	Network record.Network `cbor:"1,keyasint"`
	Start   uint64         `cbor:"2,keyasint"`
	// Lease is the encoded record of the confirmed lease, empty without
	// one.
	Lease []byte `cbor:"3,keyasint"`
	// Slot is the slot held last: the first candidate when the lease was
	// lost.
	Slot     record.Slot    `cbor:"4,keyasint"`
	Promises []Promise      `cbor:"5,keyasint"`
	Endpoint netip.AddrPort `cbor:"6,keyasint"` // as announced by the last start
	Gossip   netip.AddrPort `cbor:"7,keyasint"`
	// HandedBack is the epoch at which Leave freed the slot Freed, 0 if it
	// never did.
	HandedBack uint64      `cbor:"8,keyasint,omitempty"`
	Freed      record.Slot `cbor:"11,keyasint,omitempty"`
	// Pending says that Lease is granted and not confirmed yet. Perhaps no
	// other node knows of it, so the next start has to claim it anew.
	Pending bool `cbor:"9,keyasint,omitempty"`
	// Leases are the leases that were known when this was written, as
	// promises. The node table on disk is older, or may be lost.
	Leases []Promise `cbor:"10,keyasint,omitempty"`
	// Wishes are the subnets that a reset has left of the network before.
	Wishes []wish `cbor:"12,keyasint,omitempty"`
	// Format is durableFormat; see upgradeDurable.
	Format uint8 `cbor:"13,keyasint,omitempty"`
}

// Remembered is the part of a durable state that a driver reads before it makes
// a core.
type Remembered struct {
	Start   uint64 // of the last start
	Network record.Network
	Gossip  netip.AddrPort
	Leased  bool         // it has a confirmed lease
	Subnet  netip.Prefix // of that lease; zero without one
	Pinned  bool         // which the user, or a cluster, has asked for
}

// Peek reads the part of a durable state that matters to a driver.
func Peek(encoded []byte) (Remembered, error) {
	v, err := decodeDurable(encoded)
	r := Remembered{Start: v.Start, Network: v.Network, Gossip: v.Gossip}
	r.Leased = len(v.Lease) > 0 && !v.Pending
	if r.Leased && v.Network.Prefix.IsValid() && v.Slot < v.Network.Slots() {
		r.Subnet = v.Network.SubnetOf(v.Slot)
	}
	if e, err := record.OpenEnvelope(v.Lease); err == nil && r.Leased {
		var l record.LeaseRecord
		r.Pinned = record.Decode(e.Payload, &l) == nil && l.Pinned
	}
	return r, err
}

func decodeDurable(encoded []byte) (durable, error) {
	var v durable
	if err := record.Decode(encoded, &v); err != nil {
		return durable{}, fmt.Errorf("core: durable state: %w", err)
	}
	if len(v.Promises) > maxPromises || len(v.Leases) > maxPromises || len(v.Wishes) > maxPromises {
		return durable{}, errors.New("core: durable state: too many promises")
	}
	if v.Start > record.MaxCounter && v.Format == durableFormat {
		return durable{}, fmt.Errorf("core: durable state: start %d", v.Start)
	}
	if v.Network.Prefix.IsValid() {
		if err := v.Network.Validate(); err != nil {
			return durable{}, fmt.Errorf("core: durable state: %w", err)
		}
	}
	return v, nil
}
