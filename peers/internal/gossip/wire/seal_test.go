// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"testing"
)

func TestSealedStreams(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("content "), 10_000)
	ring, salt, bound := NewKeyring([KeySize]byte{1}), NewSalt(), NewSalt()
	both := NewKeyring([KeySize]byte{1})
	both.Use([KeySize]byte{2})
	sealed := NewSealer(ring, ContextAnswer, salt, bound).Seal(nil, content)
	open := func(o *Opener, b []byte) ([]byte, error) {
		var plain []byte
		for len(plain) < len(content) {
			n := min(PieceSize, len(content)-len(plain)) + TagSize
			var err error
			if plain, err = o.Open(plain, b[:n], uint32(len(content))); err != nil {
				return nil, err
			}
			b = b[n:]
		}
		return plain, nil
	}
	for _, r := range []*Keyring{ring, both} {
		if got, err := open(NewOpener(r, ContextAnswer, salt, bound), sealed); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	for what, o := range map[string]*Opener{
		"another key":      NewOpener(NewKeyring([KeySize]byte{3}), ContextAnswer, salt, bound),
		"another salt":     NewOpener(ring, ContextAnswer, NewSalt(), bound),
		"another question": NewOpener(ring, ContextAnswer, salt, NewSalt()),
		"its own question": NewOpener(ring, ContextCaller, salt, nil),
	} {
		if _, err := open(o, sealed); err == nil {
			t.Errorf("opened with %s", what)
		}
	}
	swapped := append(bytes.Clone(sealed[PieceSize+TagSize:2*(PieceSize+TagSize)]), sealed[:PieceSize+TagSize]...)
	if _, err := open(NewOpener(ring, ContextAnswer, salt, bound), append(swapped, sealed[2*(PieceSize+TagSize):]...)); err == nil {
		t.Error("pieces may be swapped")
	}
}

func TestVersionsThatBothSpeak(t *testing.T) {
	for _, c := range []struct {
		one, two Versions
		want     uint8
		ok       bool
	}{
		{Versions{2, 2}, Versions{2, 2}, 2, true},
		{Versions{2, 2}, Versions{2, 3}, 2, true},
		{Versions{2, 5}, Versions{3, 4}, 4, true},
		{Versions{2, 2}, Versions{3, 3}, 0, false},
	} {
		for _, p := range [][2]Versions{{c.one, c.two}, {c.two, c.one}} {
			if got, ok := p[0].Common(p[1]); ok != c.ok || ok && got != c.want {
				t.Errorf("%v and %v: %d, %v", p[0], p[1], got, ok)
			}
		}
	}
}
