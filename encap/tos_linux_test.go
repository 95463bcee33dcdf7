// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"strings"
	"testing"
)

func TestTypeOfServiceCrosses(t *testing.T) {
	whole := wholeTrains(t)
	for _, offloads := range []Offloads{{}, allOffloads} {
		a, b := pair(t, Config{Offloads: offloads})
		var out, want []Message
		for _, v := range []byte{0, 0xb8, 0xb9, 2, 3, 0} {
			m := texts(b.LocalAddr(), strings.Repeat("x", 300))[0]
			if m.TOS = v; offloads.Send {
				m.SegmentSize = 100
			}
			out = append(out, m)
			if offloads.Send && !whole { // three datagrams
				single := Message{TOS: v, N: 100}
				want = append(want, single, single, single)
			} else {
				want = append(want, Message{TOS: v, N: 300, SegmentSize: m.SegmentSize})
			}
		}
		if n, err := a.Send(out); n != len(out) || err != nil {
			t.Fatalf("sent %d of %d, %v, %v", n, len(out), err, out[0].Err)
		}
		in := NewMessages(len(want), MaxPayload)
		for got := 0; got < len(want); {
			n, err := receiveSome(b, in)
			if err != nil {
				t.Fatal(err)
			}
			for i := range in[:n] {
				if m, w := &in[i], want[got]; m.TOS != w.TOS || m.N != w.N || m.SegmentSize != w.SegmentSize {
					t.Errorf("offloads %+v, message %d: type of service %#x, %d bytes, segments of %d; want %#x, %d, %d",
						offloads, got, m.TOS, m.N, m.SegmentSize, w.TOS, w.N, w.SegmentSize)
				}
				got++
			}
		}
	}
}
