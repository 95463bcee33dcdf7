// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"net/netip"
	"strings"
	"testing"
)

func TestQuestionsAndSightsAreReadBack(t *testing.T) {
	q := Question{ID: 0x1234, To: remote}
	if got, ok := ParseQuestion(q.Encode()); !ok || got != q {
		t.Errorf("%+v came back as %+v, %t", q, got, ok)
	}
	for _, s := range []Sight{
		{}, {Came: true, Bridge: "docker0"}, {Left: true, Blind: true}, {Answered: true, Returned: true, Bridge: "br-0123456789ab"},
	} {
		b := s.Encode()
		for _, later := range []string{"", "later"} {
			if got, ok := ParseSight(append(b[:len(b):len(b)], later...)); !ok || got != s {
				t.Errorf("%+v came back as %+v, %t", s, got, ok)
			}
		}
		for n := range b {
			if got, ok := ParseSight(b[:n]); ok {
				t.Errorf("%d of %d bytes were taken: %+v", n, len(b), got)
			}
		}
	}
	if _, ok := ParseSight(Sight{Bridge: "br\x1b[2J"}.Encode()); ok {
		t.Error("a name that cannot be printed was taken")
	}
	if s, ok := ParseSight(Sight{Bridge: strings.Repeat("b", 300)}.Encode()); !ok || len(s.Bridge) != maxBridge {
		t.Errorf("a long name: %+v, %t", s, ok)
	}
}

func FuzzQuestion(f *testing.F) {
	f.Add(Question{ID: 1, To: netip.MustParseAddr("10.244.9.2")}.Encode())
	f.Add(Sight{Came: true, Left: true, Bridge: "docker0"}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if q, ok := ParseQuestion(b); ok {
			if again, ok := ParseQuestion(q.Encode()); !ok || again != q {
				t.Errorf("%+v came back as %+v", q, again)
			}
		}
		if s, ok := ParseSight(b); ok {
			if again, ok := ParseSight(s.Encode()); !ok || again != s {
				t.Errorf("%+v came back as %+v", s, again)
			}
			g := ground()
			g.Sight = &s
			g.Tell(Result{From: first})
		}
	})
}
