// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"crypto/ed25519"
	"reflect"
	"testing"

	"flanneld/peers/internal/record"
)

// keyOf is an identity that is the same in each run.
func keyOf(n byte) record.Identity {
	return record.Identity{Key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))}
}

func TestInquiryIsReadBack(t *testing.T) {
	want := Inquiry{Nonce: [NonceSize]byte{1}, To: record.NodeID{2}, From: keyOf(3).ID(), Report: 1 << 63, Part: 15, Question: []byte("why")}
	b := want.Encode(keyOf(3))
	if got, ok := ParseInquiry(b); !ok || !reflect.DeepEqual(got, want) || !VerifyInquiry(b) {
		t.Errorf("%+v, %t, want %+v", got, ok, want)
	}
	for n := range b {
		if _, ok := ParseInquiry(b[:n]); ok {
			t.Errorf("%d of %d bytes are taken for the whole", n, len(b))
		}
		changed := bytes.Clone(b)
		changed[n] ^= 1
		if _, ok := ParseInquiry(changed); ok && VerifyInquiry(changed) {
			t.Errorf("byte %d is not signed", n)
		}
	}
}

// A question that is too long is cut, and one that says so is refused.
func TestQuestionsAreBounded(t *testing.T) {
	b := Inquiry{Question: bytes.Repeat([]byte("q"), MaxQuestion+9)}.Encode(keyOf(3))
	if got, ok := ParseInquiry(b); !ok || len(got.Question) != MaxQuestion || len(b) != InquirySize {
		t.Errorf("%d bytes of a question, %t", len(got.Question), ok)
	}
	b[inquiryHead-1]++
	if _, ok := ParseInquiry(b); ok {
		t.Error("a question that is too long was taken")
	}
}

// No answer is longer than the inquiry: a node is no amplifier.
func TestReportsAreCutAndReadBack(t *testing.T) {
	for _, size := range []int{1, PartBytes, PartBytes + 1, MaxReport} {
		report := bytes.Repeat([]byte("r"), size)
		parts, ok := CutReport(report)
		if !ok || !bytes.Equal(bytes.Join(parts, nil), report) {
			t.Fatalf("%d bytes: %d parts, %t", size, len(parts), ok)
		}
		for i, bytes := range parts {
			want := Part{[NonceSize]byte{9}, keyOf(3).ID(), 7, uint8(i), uint8(len(parts)), bytes}
			b := want.Encode(keyOf(3))
			if got, ok := ParsePart(b); !ok || !reflect.DeepEqual(got, want) || !VerifyPart(b) {
				t.Errorf("part %d of %d bytes: %+v, %t", i, size, got, ok)
			}
			if len(b) > InquirySize {
				t.Errorf("a part of %d bytes answers an inquiry of %d", len(b), InquirySize)
			}
			b[len(b)-1] ^= 1
			if VerifyPart(b) {
				t.Error("a forged part is taken")
			}
		}
	}
	for _, size := range []int{0, MaxReport + 1} {
		if _, ok := CutReport(make([]byte, size)); ok {
			t.Errorf("%d bytes are cut", size)
		}
	}
}

func FuzzReport(f *testing.F) {
	f.Add(Inquiry{Part: 1}.Encode(keyOf(1)))
	f.Add(Inquiry{Question: []byte("why")}.Encode(keyOf(1)))
	f.Add(Part{Parts: 1, Bytes: []byte("all")}.Encode(keyOf(1)))
	f.Add(Part{Part: 1, Parts: 3, Bytes: make([]byte, PartBytes)}.Encode(keyOf(1)))
	f.Add([]byte{TypePart})
	f.Fuzz(func(t *testing.T, b []byte) {
		if q, ok := ParseInquiry(b); ok {
			VerifyInquiry(b)
			if again, ok := ParseInquiry(q.Encode(keyOf(1))); !ok || again.Report != q.Report || again.Part != q.Part || again.To != q.To || again.Nonce != q.Nonce {
				t.Errorf("%+v came back as %+v, %t", q, again, ok)
			}
		}
		if p, ok := ParsePart(b); ok {
			VerifyPart(b)
			if p.Part >= p.Parts || p.Parts > MaxReportParts || len(p.Bytes) == 0 || len(p.Bytes) > PartBytes {
				t.Errorf("taken: %+v", p)
			}
		}
	})
}
