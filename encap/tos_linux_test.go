package encap

import (
	"strings"
	"testing"
)

func TestTypeOfServiceCrosses(t *testing.T) {
	for _, offloads := range []Offloads{{}, allOffloads} {
		a, b := pair(t, Config{Offloads: offloads})
		var out []Message
		tos := []byte{0, 0xb8, 0xb9, 2, 3, 0}
		for _, v := range tos {
			m := texts(b.LocalAddr(), strings.Repeat("x", 300))[0]
			if m.TOS = v; offloads.Send {
				m.SegmentSize = 100
			}
			out = append(out, m)
		}
		if n, err := a.Send(out); n != len(out) || err != nil {
			t.Fatalf("sent %d of %d, %v, %v", n, len(out), err, out[0].Err)
		}
		in := NewMessages(len(tos), MaxPayload)
		for got := 0; got < len(tos); {
			n, err := b.Receive(in)
			if err != nil {
				t.Fatal(err)
			}
			for i := range in[:n] {
				if m := &in[i]; m.TOS != tos[got] || m.N != 300 || m.SegmentSize != out[got].SegmentSize {
					t.Errorf("offloads %+v, message %d: type of service %#x, %d bytes, segments of %d; want %#x, 300, %d",
						offloads, got, m.TOS, m.N, m.SegmentSize, tos[got], out[got].SegmentSize)
				}
				got++
			}
		}
	}
}
