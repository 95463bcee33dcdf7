// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"bytes"
	"testing"
)

// TestSealAndOpenAllocateNothing in trains and one by one, with both suites.
func TestSealAndOpenAllocateNothing(t *testing.T) {
	for _, suite := range []Suite{AESGCM, ChaChaPoly} {
		for _, train := range []int{1, MaxTrain} {
			w := newWorld(t, 1)
			a, b := w.add(func(c *Config) { c.Suites = []Suite{suite} }), w.add(nil)
			w.meet(a, b)
			w.connect(a, b)
			const size = 1400 + Overhead
			buffer := make([]byte, train*size)
			var out [MaxTrain]Opened
			run := func() {
				st := a.peers[b].Sending(1, w.now)
				for i := range train {
					if !st.Seal(buffer[i*size:][:size]) {
						t.Fatal("not sealed")
					}
				}
				count, _ := b.Open(w.now, buffer, size, &out)
				if count != train || out[0].Reason != OK || out[train-1].Reason != OK {
					t.Fatalf("%d opened, %v", count, out[0].Reason)
				}
			}
			run() // makes the streams
			if n := testing.AllocsPerRun(100, run); n > 0 {
				t.Errorf("%v, trains of %d: %v allocations", suite, train, n)
			}
		}
	}
}

// TestRefusedDatagramsAllocateNothing: a flood must not.
func TestRefusedDatagramsAllocateNothing(t *testing.T) {
	w, a, b := pair(t)
	w.connect(a, b)
	a.send(b, 0, "x")
	good := w.flight[0].bytes
	b.receive(datagram{a, b, good})
	forged, unknown := bytes.Clone(good), bytes.Clone(good)
	forged[15]++
	unknown[4]++
	var out [MaxTrain]Opened
	for want, bad := range map[Reason][]byte{Replayed: good, Forged: forged, UnknownSession: unknown, Malformed: good[:20]} {
		scratch := make([]byte, len(bad))
		if n := testing.AllocsPerRun(100, func() {
			copy(scratch, bad)
			b.Open(w.now, scratch, 0, &out)
		}); n > 0 || out[0].Reason != want {
			t.Errorf("%v: got %v and %v allocations", want, out[0].Reason, n)
		}
	}
}
