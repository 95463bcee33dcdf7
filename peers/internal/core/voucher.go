package core

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
)

// A voucher is a promise that others can check: a holder's signature under what
// it has promised. A lease record carries some of those that granted it, so
// that no node has to believe a lease because its holder says so.

// maxVouchers is how many a record carries: with more it would not fit a
// datagram.
const maxVouchers = 8

// disputeLeast is how many holders have to vouch for a lease that ends
// a live node's: more than one, so that no single liar can.
const disputeLeast = 2

const voucherLen = 16 + ed25519.SignatureSize

// vouchers are the promises in a record: the elector's ID and its signature,
// one after the other.
type vouchers []byte

// grant is what a voucher is a signature of.
type grant struct {
	slot     Slot
	epoch    uint64
	claimant NodeID
	claim    uint64
	ordinal  uint64
	pinned   bool
}

// grantOf is what the vouchers of a record have to be for. A record that ends a
// lease carries those of the lease.
func grantOf(r *LeaseRecord) grant {
	return grant{r.Slot, r.grantEpoch(), r.claimant(), r.Claim, r.Ordinal, r.Pinned}
}

func (g grant) bytes(net NetworkID) []byte {
	b := make([]byte, 0, 96)
	b = append(b, "flanneld promise 2\x00"...)
	b = append(b, net[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(g.slot))
	b = binary.BigEndian.AppendUint64(b, g.epoch)
	b = append(b, g.claimant[:]...)
	b = binary.BigEndian.AppendUint64(b, g.claim)
	b = binary.BigEndian.AppendUint64(b, g.ordinal)
	if g.pinned {
		return append(b, 1)
	}
	return append(b, 0)
}

func (v vouchers) count() int { return len(v) / voucherLen }

// at is the i-th voucher.
func (v vouchers) at(i int) (by NodeID, sig []byte) {
	one := v[i*voucherLen : (i+1)*voucherLen]
	return NodeID(one[:16]), one[16:]
}

// validate checks the form: so many whole vouchers, of different electors.
func (v vouchers) validate() error {
	if len(v)%voucherLen != 0 || v.count() > maxVouchers {
		return fmt.Errorf("vouchers of %d bytes", len(v))
	}
	seen := map[NodeID]bool{}
	for i := range v.count() {
		by, _ := v.at(i)
		if seen[by] {
			return errors.New("two vouchers of one elector")
		}
		seen[by] = true
	}
	return nil
}
