// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Descriptions stay from one Receive to the next. Messages may differ in
// number, size and memory. Each has its own bytes, sender, type of service and
// segment size.
func TestReceiveIntoChangingMessages(t *testing.T) {
	a, b := pair(t, Config{Sources: 1, Batch: 8, Offloads: allOffloads})
	rng, whole := rand.New(rand.NewPCG(1, 2)), wholeTrains(t)
	memory := [][]Message{NewMessages(8, MaxPayload), NewMessages(8, MaxPayload), NewMessages(3, MaxPayload)}
	for round := range 300 {
		sent := make([]Message, rng.IntN(4))
		for i := range sent {
			text := []byte(fmt.Sprintf("round %d message %d ", round, i))
			sent[i] = Message{Addr: b.LocalAddr(), Buffers: [][]byte{text}, TOS: byte(rng.IntN(64)) << 2}
			if rng.IntN(2) == 0 && whole { // a train of three
				sent[i].SegmentSize = len(text)
				sent[i].Buffers = append(sent[i].Buffers, text, text[:1+rng.IntN(len(text))])
			}
		}
		if n, err := a.Send(sent); n != len(sent) || err != nil {
			t.Fatalf("Send = %d, %v", n, err)
		}
		for len(sent) > 0 {
			into := memory[rng.IntN(len(memory))]
			into = into[:1+rng.IntN(len(into))]
			n, err := b.Receive(into)
			if n == 0 || err != nil {
				t.Fatalf("Receive = %d, %v; %d messages are missing", n, err, len(sent))
			}
			for i, m := range into[:n] {
				checkReceived(t, a, sent[i], m)
			}
			sent = sent[n:]
		}
		if n, err := b.Receive(memory[rng.IntN(len(memory))]); n != 0 || err != nil {
			t.Fatalf("Receive = %d, %v; nothing was sent", n, err)
		}
	}
}

// checkReceived compares a message with what a sent.
func checkReceived(t *testing.T, a *Conn, sent, got Message) {
	t.Helper()
	var want string
	for _, b := range sent.Buffers {
		want += string(b)
	}
	if text := string(got.Buffers[0][:got.N]); text != want || got.Truncated {
		t.Fatalf("received %q, want %q", text, want)
	}
	if got.Addr != a.LocalAddr() || got.TOS != sent.TOS || got.SegmentSize != sent.SegmentSize {
		t.Fatalf("received from %s, type of service %#x, %d bytes each; want %s, %#x, %d",
			got.Addr, got.TOS, got.SegmentSize, a.LocalAddr(), sent.TOS, sent.SegmentSize)
	}
}

// BenchmarkLook is Receive on an empty socket with cold caches: a lane looks at
// each socket before it sleeps, and after.
func BenchmarkLook(b *testing.B) {
	c := listen(b, Config{})[0]
	msgs := NewMessages(DefaultBatch, MaxPayload)
	others := make([]byte, 4<<20)
	for b.Loop() {
		b.StopTimer()
		for i := 0; i < len(others); i += 64 {
			others[i]++
		}
		b.StartTimer()
		if n, err := c.Receive(msgs); n != 0 || err != nil {
			b.Fatal(n, err)
		}
	}
}
