// SPDX-License-Identifier: Apache-2.0

package record

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
)

// A voucher is a promise that others can check: a holder's signature under what
// it has promised. A lease record carries some vouchers of its grant, so that
// no node has to believe a lease on its holder's word.

// MaxVouchers is how many a record carries: with more it would not fit a
// datagram.
const MaxVouchers = 8

// DisputeLeast is how many holders have to vouch for a lease that ends
// a live node's: more than one, so that no single liar can.
const DisputeLeast = 2

// VoucherLen is the length of a voucher in a record, in bytes.
const VoucherLen = 16 + ed25519.SignatureSize

// Vouchers are the promises in a record: the elector's ID and its signature,
// one after the other.
type Vouchers []byte

// Grant is what a voucher is a signature of.
type Grant struct {
	Slot     Slot
	Epoch    uint64
	Claimant NodeID
	Claim    ClaimID
	Ordinal  uint64
	Pinned   bool
}

// GrantOf is what the vouchers of a record have to be for. A record that ends a
// lease carries those of the lease.
func GrantOf(r *LeaseRecord) Grant {
	return Grant{r.Slot, r.GrantEpoch(), r.Claimant(), r.Claim, r.Ordinal, r.Pinned}
}

// Bytes is what a holder signs.
func (g Grant) Bytes(net NetworkID) []byte {
	b := make([]byte, 0, 96)
	b = append(b, "flanneld promise 2\x00"...)
	b = append(b, net[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(g.Slot))
	b = binary.BigEndian.AppendUint64(b, g.Epoch)
	b = append(b, g.Claimant[:]...)
	b = binary.BigEndian.AppendUint64(b, g.Claim.Number())
	b = binary.BigEndian.AppendUint64(b, g.Ordinal)
	if g.Pinned {
		return append(b, 1)
	}
	return append(b, 0)
}

// Count is how many vouchers there are.
func (v Vouchers) Count() int { return len(v) / VoucherLen }

// At is the i-th voucher.
func (v Vouchers) At(i int) (by NodeID, sig []byte) {
	one := v[i*VoucherLen : (i+1)*VoucherLen]
	return NodeID(one[:16]), one[16:]
}

// validate checks the form: so many whole vouchers, of different electors.
func (v Vouchers) validate() error {
	if len(v)%VoucherLen != 0 || v.Count() > MaxVouchers {
		return fmt.Errorf("vouchers of %d bytes", len(v))
	}
	seen := map[NodeID]bool{}
	for i := range v.Count() {
		by, _ := v.At(i)
		if seen[by] {
			return errors.New("two vouchers of one elector")
		}
		seen[by] = true
	}
	return nil
}

// Vouched reports whether a signature is a holder's voucher of a grant. The
// holder has to hold a lease in this table, or to have held one.
func (t *Table) Vouched(g Grant, by NodeID, sig []byte) bool {
	key := t.KeyOf(by)
	return len(sig) == ed25519.SignatureSize && len(key) == ed25519.PublicKeySize && t.Signer.Verify(key, g.Bytes(t.NetID), sig)
}
