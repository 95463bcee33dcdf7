// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestAClaimIDIsOneNumberOnTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64().Draw(t, "number")
		id := ClaimIDOf(n)
		if id.Number() != n {
			t.Fatalf("number %d became %d", n, id.Number())
		}
		if a, b := Encode(id), Encode(n); !bytes.Equal(a, b) {
			t.Fatalf("%d is encoded as %x, as a number it is %x", n, a, b)
		}
		var back ClaimID
		if err := Decode(Encode(n), &back); err != nil || back != id {
			t.Fatalf("%d is decoded as %+v: %v", n, back, err)
		}
		if o := ClaimIDOf(rapid.Uint64Max(n).Draw(t, "smaller")); o != id && o.Compare(id) >= 0 {
			t.Fatalf("%+v is not before %+v", o, id)
		}
	})
}

func TestARecordWithoutAClaimHasNoFieldForIt(t *testing.T) {
	type record struct {
		Claim ClaimID `cbor:"9,keyasint,omitzero"`
	}
	if got := Encode(record{}); !bytes.Equal(got, []byte{0xa0}) {
		t.Errorf("encoded as %x, want an empty map", got)
	}
	var r record
	for _, wrong := range [][]byte{{0xa1, 9, 0x20}, {0xa1, 9, 0x41, 1}, {0xa1, 9, 0xf9, 0, 0}} {
		if err := Decode(wrong, &r); err == nil {
			t.Errorf("%x is taken for a claim's number", wrong)
		}
	}
	if err := Decode([]byte{0xa1, 9, 0xf6}, &r); err != nil || !r.Claim.IsZero() {
		t.Errorf("null is not the zero ID: %v", err)
	}
}

func TestClaimIDsGrowWithStartAndCount(t *testing.T) {
	ids := []ClaimID{{}, NewClaimID(1, 1), NewClaimID(1, 2), NewClaimID(1, 1<<30), NewClaimID(2, 0), NewClaimID(MaxCounter, 1)}
	for i := range ids[1:] {
		if ids[i].Compare(ids[i+1]) >= 0 {
			t.Errorf("%+v is not before %+v", ids[i], ids[i+1])
		}
	}
	if NewClaimID(MaxCounter, 0).Validate() != nil || NewClaimID(MaxCounter+1, 0).Validate() == nil {
		t.Error("the bound of starts does not hold")
	}
}
