// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"testing"

	"flanneld/peers/internal/record"
)

var (
	here  = netip.MustParseAddrPort("10.0.0.1:8286")
	there = netip.MustParseAddrPort("[2001:db8::1]:1")
)

// Every message is read back as it was written, and no part is taken for the
// whole.
func TestMessagesAreReadBack(t *testing.T) {
	member := Member{Incarnation: 7, Node: "a", At: here, Meta: bytes.Repeat([]byte("m"), 200), Vsn: []byte{1, 5, 2, 0, 0, 0}}
	read := func(v any, ok bool) (any, bool) { return v, ok }
	for _, c := range []struct {
		what    string
		encoded []byte
		read    func([]byte) (any, bool)
		want    any
	}{
		{"ping", Ping{Seq: 1 << 31, Node: "a", Source: here, By: "b"}.Encode(),
			func(b []byte) (any, bool) { return read(ReadPing(b)) }, Ping{Seq: 1 << 31, Node: "a", Source: here, By: "b"}},
		{"ping without a source", Ping{Node: "a"}.Encode(),
			func(b []byte) (any, bool) { return read(ReadPing(b)) }, Ping{Node: "a"}},
		{"indirect ping", IndirectPing{Ping{Node: "a", Source: here}, there, true}.Encode(),
			func(b []byte) (any, bool) { return read(ReadIndirect(b)) }, IndirectPing{Ping{Node: "a", Source: here}, there, true}},
		{"accusation", Accusation{MaxIncarnation, "a", "b"}.Encode(TypeDead),
			func(b []byte) (any, bool) { return read(ReadAccusation(b)) }, Accusation{MaxIncarnation, "a", "b"}},
		{"member", member.Encode(), func(b []byte) (any, bool) {
			m, rest, ok := ReadMember(b, false)
			return m, ok && len(rest) == 0
		}, member},
		{"ack", EncodeAck(TypeAck, 200), func(b []byte) (any, bool) { return read(ReadAck(b)) }, uint32(200)},
		{"error", EncodeError("why"), func(b []byte) (any, bool) { return read(ReadError(b)) }, "why"},
		{"exchange", append(Exchange{Join: true, Members: []Member{member}}.Encode(5), "state"...),
			func(b []byte) (any, bool) { return read(ReadExchange(b)) }, Exchange{Join: true, Members: []Member{member}, State: []byte("state")}},
		{"user message", append(EncodeUser(3), "abc"...),
			func(b []byte) (any, bool) { return read(ReadUser(b)) }, []byte("abc")},
	} {
		body := c.encoded[1:]
		if got, ok := c.read(body); !ok || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.what, got, c.want)
		}
		for n := range body {
			if got, ok := c.read(body[:n]); ok {
				t.Errorf("%s: %d of %d bytes are read as %+v", c.what, n, len(body), got)
			}
		}
	}
}

func TestBoundsOfMessages(t *testing.T) {
	long := string(make([]byte, maxNameBytes+1))
	for what, ok := range map[string]bool{
		"a long name":             second(ReadPing(Ping{Node: long}.Encode()[1:])),
		"no name":                 second(ReadPing(Ping{Seq: 1}.Encode()[1:])),
		"no target":               second(ReadIndirect(IndirectPing{Ping: Ping{Node: "a"}}.Encode()[1:])),
		"a great incarnation":     second(ReadAccusation(Accusation{MaxIncarnation + 1, "a", "b"}.Encode(TypeDead)[1:])),
		"an empty user message":   second(ReadUser(EncodeUser(0)[1:])),
		"a long error":            second(ReadError(EncodeError(string(make([]byte, maxErrorText+1)))[1:])),
		"a compound without end":  second(SplitCompound([]byte{1, 0, 9, 'x'})),
		"an empty compound part":  second(SplitCompound([]byte{1, 0, 0})),
		"no compound":             second(SplitCompound(nil)),
		"a member without a meta": second(parsed(ParseMeta(nil))),
	} {
		if ok {
			t.Errorf("%s is accepted", what)
		}
	}
	if parts, ok := SplitCompound([]byte{2, 0, 1, 0, 2, 'a', 'b', 'c'}); !ok || string(bytes.Join(parts, []byte("|"))) != "a|bc" {
		t.Errorf("compound: %q", parts)
	}
	if b := TrimChecksum([]byte{TypeChecksum, 1, 2, 3, 4, 'x'}); string(b) != "x" {
		t.Errorf("without its checksum: %q", b)
	}
}

func second[T any](_ T, ok bool) bool { return ok }

func parsed[T any](v T, err error) (T, bool) { return v, err == nil }

func TestProofIsReadBackAndSigned(t *testing.T) {
	key := identity(1)
	nonce := [NonceSize]byte{9}
	self := Meta{Start: 3, Instance: 4, At: here, Network: record.NetworkID{5}, Settled: true, Looking: true}
	b := EncodeProof(nonce, self, key)
	n, p, ok := ParseProof(b)
	want := Proof{Node: key.ID(), Start: 3, Instance: 4, Network: self.Network, At: here, Settled: true, Looking: true}
	if !ok || n != nonce || p != want || !VerifyProof(b) || p.Name() != MemberName(key.ID(), 3) {
		t.Errorf("%+v, want %+v", p, want)
	}
	for bit := range 8 * len(b) {
		forged := bytes.Clone(b)
		forged[bit/8] ^= 1 << (bit % 8)
		if _, _, ok := ParseProof(forged); ok && bit >= 8 && VerifyProof(forged) {
			t.Fatalf("bit %d of byte %d may be flipped", bit%8, bit/8)
		}
	}
	q := EncodeQuestion(nonce, key.ID())
	if n, to, ok := ParseQuestion(q); !ok || n != nonce || to != key.ID() || len(q) < len(b) {
		t.Errorf("question: %v to %v, %d bytes for a proof of %d", n, to, len(q), len(b))
	}
}

func TestStateIsReadBackAndSigned(t *testing.T) {
	key := identity(1)
	b := append([]byte{WeDialed}, EncodeState(Meta{Network: record.NetworkID{5}}, key, []byte("state"))...)
	s, ok := ParseState(b)
	if !ok || s.From != key.ID() || s.Network != (record.NetworkID{5}) || !s.Dialed || string(s.State) != "state" || s.Size != len(b) {
		t.Errorf("%+v, %v", s, ok)
	}
	for i := 1; i < len(b); i++ {
		forged := bytes.Clone(b)
		forged[i] ^= 1
		if _, ok := ParseState(forged); ok {
			t.Fatalf("byte %d may be changed", i)
		}
	}
}

func TestLabelsAreDistinguished(t *testing.T) {
	for what, c := range map[string]struct {
		b    []byte
		want error
	}{
		"ours":         {Envelope(ModePlain), nil},
		"0.1's":        {EncodeOldPing(), ErrOldFormat},
		"another":      {[]byte("GET / HTTP/1.1\r\n"), ErrForeign},
		"nothing":      {nil, ErrForeign},
		"a beginning":  {Envelope(ModePlain)[:5], ErrForeign},
		"a longer one": {append([]byte{labelMark, 11}, "flanneld 22"...), ErrForeign},
	} {
		if got := CheckLabel(c.b); !errors.Is(got, c.want) {
			t.Errorf("%s: %v", what, got)
		}
	}
}

func TestDatagramsOpenWithAnyKeyOfTheRing(t *testing.T) {
	ring := NewKeyring([KeySize]byte{1})
	old := SealDatagram(nil, ring, []byte("message"))
	ring.Use([KeySize]byte{2})
	young := SealDatagram(nil, ring, []byte("message"))
	for what, b := range map[string][]byte{"old": old, "young": young} {
		if got, err := OpenDatagram(ring, b); err != nil || string(got) != "message" {
			t.Errorf("%s key: %q, %v", what, got, err)
		}
	}
	if _, err := OpenDatagram(NewKeyring([KeySize]byte{1}), young); !errors.Is(err, ErrOtherKey) {
		t.Errorf("with another key: %v", err)
	}
	if _, err := OpenDatagram(ring, old[:SealSize-1]); !errors.Is(err, ErrOtherKey) {
		t.Errorf("too short: %v", err)
	}
}
