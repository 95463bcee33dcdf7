// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"flanneld/peers/internal/record"
)

func checkups() []Checkup {
	question := Checkup{From: record.NodeID{1}, Nonce: [NonceSize]byte{2}, Asked: ByStream}
	question.At = netip.MustParseAddrPort("192.0.2.1:8286")
	answer := question
	answer.At = netip.AddrPort{}
	answer.Answer, answer.Way, answer.Clock, answer.Version, answer.Path = true, ByStream, time.Unix(1, 500), "1.2.3-rc1", "small-only"
	answer.Stray = netip.MustParseAddr("192.0.2.200")
	bare := answer
	bare.Version, bare.Path, bare.Clock, bare.Stray = "", "", time.Unix(0, -1), netip.Addr{}
	return []Checkup{question, {From: record.NodeID{9}, At: netip.MustParseAddrPort("255.255.255.255:65535")}, answer, bare}
}

func TestCheckupsAreReadBack(t *testing.T) {
	for _, c := range checkups() {
		b := c.Encode()
		for _, later := range []string{"", "what a later version adds"} {
			got, ok := ParseCheckup(append(b[:len(b):len(b)], later...))
			if !ok || !got.Clock.Equal(c.Clock) && c.Answer {
				t.Errorf("%+v came back as %+v, %t", c, got, ok)
			}
			if got.Clock = c.Clock; got != c {
				t.Errorf("%+v came back as %+v", c, got)
			}
		}
		for n := range len(b) {
			older := c.Answer && n == len(b)-4 // without Stray
			if got, ok := ParseCheckup(b[:n]); ok != older || got.Stray.IsValid() {
				t.Errorf("%d of %d bytes: %+v, %t", n, len(b), got, ok)
			}
		}
		if !IsCheckup(b) {
			t.Error("not known by its kind")
		}
		if _, err := ParseFrame(b); err == nil {
			t.Error("it is a frame, too")
		}
	}
}

// A text of another node is shown to people: what cannot be printed is refused,
// and what is too long is cut.
func TestTextsOfCheckupsArePrintable(t *testing.T) {
	c := checkups()[2]
	c.Version = strings.Repeat("9", 300)
	if got, ok := ParseCheckup(c.Encode()); !ok || len(got.Version) != maxCheckupText {
		t.Errorf("got %+v, %t", got, ok)
	}
	for _, bad := range []string{"1\n2", "\x1b[31m", "a b", "\x80"} {
		c.Version = bad
		if _, ok := ParseCheckup(c.Encode()); ok {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzCheckup(f *testing.F) {
	for _, c := range checkups() {
		f.Add(c.Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, ok := ParseCheckup(b)
		if !ok {
			return
		}
		if again, ok := ParseCheckup(c.Encode()); !ok || again != c {
			t.Fatalf("%+v came back as %+v", c, again)
		}
	})
}
