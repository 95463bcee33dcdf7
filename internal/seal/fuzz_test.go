// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"bytes"
	"testing"
)

// exchange returns one datagram of each kind that a sends, and of each kind
// that b sends.
func exchange(t testing.TB, w *world, a, b *host) (one, two, data, cookie []byte) {
	b.limiter.total.level, b.limiter.total.at = 0, w.now
	a.send(b, 0, "some packet")
	w.tick()
	b.receive(w.flight[0])
	cookie = w.flight[1].bytes
	b.limiter.total = bucket{}
	b.receive(w.flight[0])
	one, two = w.flight[0].bytes, w.flight[2].bytes
	w.flight = w.flight[2:]
	w.settle()
	b.wants("1:some packet")
	a.send(b, 0, "one more")
	data = w.flight[0].bytes
	w.flight = nil
	return one, two, data, cookie
}

// later makes the nodes of a world ones that have the keys of those in the
// corpus, but were started again since.
func later(t testing.TB, w *world, a, b *host) {
	if _, err := w.random.Read(make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	a.SetStart(2)
	b.SetStart(2)
	a.peers[b].lastStart, b.peers[a].lastStart = 2, 2
}

// FuzzHandle gives a node bytes as messages of the handshake, with right codes
// if fix is set: what a member with a fault would send. Nothing is accepted but
// the true message, answers are shorter than questions, and the node goes on.
func FuzzHandle(f *testing.F) {
	w, a, b := pair(f)
	one, two, data, cookie := exchange(f, w, a, b)
	for _, message := range [][]byte{one, two, cookie, data, {}, make([]byte, initiationSize)} {
		f.Add(message, false)
		f.Add(message, true)
	}
	f.Fuzz(func(t *testing.T, message []byte, fix bool) {
		w, a, b := pair(t)
		later(t, w, a, b)
		a.send(b, 0, "true")
		w.tick()
		first := w.flight[0]
		w.flight = nil
		if fix && len(message) > 2*macSize {
			b.keys[0].own.sign(message, nil)
		}
		given := bytes.Clone(message)
		reason := b.receive(datagram{a, b, message})
		if reason == OK {
			t.Errorf("accepted %x", message)
		}
		for _, answer := range w.flight {
			if len(answer.bytes) >= len(message) {
				t.Errorf("%d bytes are answered with %d", len(message), len(answer.bytes))
			}
		}
		if !bytes.Equal(given, message) {
			t.Error("the message was changed")
		}
		w.flight = nil
		if fix && len(message) > 2*macSize {
			a.keys[0].own.sign(message, nil)
		}
		a.receive(datagram{b, a, message})
		w.flight = append(w.flight[:0], first)
		w.settle()
		b.wants("1:true")
	})
}

// FuzzOpen gives a node bytes as trains. Only the true datagram is accepted.
func FuzzOpen(f *testing.F) {
	w, a, b := pair(f)
	one, two, data, cookie := exchange(f, w, a, b)
	for _, d := range [][]byte{one, two, data, cookie, {}, bytes.Repeat(data, 3)} {
		f.Add(d, 0)
		f.Add(d, 40)
		f.Add(d, len(data))
	}
	f.Fuzz(func(t *testing.T, datagrams []byte, size int) {
		w, a, b := pair(t)
		later(t, w, a, b)
		w.connect(a, b)
		a.send(b, 0, "true")
		good := w.flight[0].bytes
		w.flight = nil
		var out [MaxTrain]Opened
		total := 0
		for rest := bytes.Clone(datagrams); len(rest) > 0; {
			var count int
			count, rest = b.Open(w.now, rest, size, &out)
			for _, o := range out[:count] {
				total++
				if o.Reason == OK && string(o.Packet) != "true" {
					t.Errorf("accepted %q", o.Packet)
				}
				if (o.Reason == OK) != (o.Packet != nil) || (o.Reason == OK) != (o.Peer != nil) {
					t.Errorf("%v with %v of %v", o.Reason, o.Packet, o.Peer)
				}
			}
		}
		if size > 0 && total != (len(datagrams)+size-1)/size {
			t.Errorf("%d datagrams of %d bytes in %d", total, size, len(datagrams))
		}
		if !bytes.Contains(datagrams, good) && b.receive(datagram{a, b, good}) != OK {
			t.Error("the true datagram is refused")
		}
	})
}

// FuzzMessages reads bytes with each parser. What is read is written back as
// the same bytes, up to what readers leave alone.
func FuzzMessages(f *testing.F) {
	w, a, b := pair(f)
	one, two, data, cookie := exchange(f, w, a, b)
	for _, d := range [][]byte{one, two, data, cookie, {}, (&content{start: 1, counter: 2, instance: 3, lanes: 4}).append(nil), appendQuestion(nil, contentQuestion, 7)} {
		f.Add(d)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		same := func(what string, written, read []byte) {
			if !bytes.Equal(written, read) {
				t.Errorf("%s: %x is written back as %x", what, read, written)
			}
		}
		if m, ok := parseInitiation(b); ok {
			same("message 1", append(m.head(nil), m.noise...), b[:initiationSize-2*macSize])
		}
		if m, ok := parseResponse(b); ok {
			same("message 2", append(m.head(nil), m.noise...), b[:responseSize-2*macSize])
		}
		if m, ok := parseCookieReply(b); ok {
			same("cookie reply", m.append(nil), b)
		}
		if h, ok := parseHeader(b); ok {
			var written [HeaderLen]byte
			h.put(written[:])
			same("header", written[:], b[:HeaderLen])
		}
		if c, ok := parseContent(b); ok {
			same("content", c.append(nil)[:25], b[:25])
		}
		if kind, number, ok := parseQuestion(b); ok {
			same("question", appendQuestion(nil, kind, number), b)
		}
	})
}
