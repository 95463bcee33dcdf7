// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"flanneld/internal/poll"
)

var allOffloads = Offloads{Send: true, Receive: true}

// fataler is a *testing.T or a *rapid.T.
type fataler interface{ Fatal(...any) }

// receiveTrains receives datagrams, taking trains apart, until there are n.
func receiveTrains(t fataler, c *Conn, n int) (datagrams []string, trains int) {
	msgs := NewMessages(8, MaxPayload)
	for len(datagrams) < n {
		k, err := receiveSome(c, msgs)
		if err != nil {
			t.Fatal(err)
		}
		for i := range msgs[:k] {
			m := &msgs[i]
			rest := m.Buffers[0][:m.N]
			size := len(rest)
			if m.SegmentSize > 0 {
				size = m.SegmentSize
				trains++
			}
			if m.Truncated {
				t.Fatal("truncated")
			}
			for range m.Datagrams(m.N) {
				part := rest[:min(size, len(rest))]
				datagrams = append(datagrams, string(part))
				rest = rest[len(part):]
			}
		}
	}
	return datagrams, trains
}

// A train is datagrams, whether the receiver takes trains or not.
func TestTrainsAreDatagrams(t *testing.T) {
	a, together := pair(t, Config{Offloads: allOffloads})
	apart := listen(t, Config{})[0]
	if a.MaxSegments() != MaxSegments || apart.MaxSegments() != 1 {
		t.Fatalf("trains of %d and %d", a.MaxSegments(), apart.MaxSegments())
	}
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 2000).Draw(t, "size")
		total := rapid.IntRange(1, min(MaxSegments*size, MaxPayload)).Draw(t, "bytes")
		payload := make([]byte, total)
		for i := range payload {
			payload[i] = byte(i * 7)
		}
		cut := rapid.IntRange(0, total).Draw(t, "cut")
		var want []string
		for at := 0; at < total; at += size {
			want = append(want, string(payload[at:min(at+size, total)]))
		}
		for _, b := range []*Conn{together, apart} {
			m := []Message{{Addr: b.LocalAddr(), SegmentSize: size, Buffers: [][]byte{payload[:cut], payload[cut:]}}}
			if n, err := a.Send(m); n != 1 || err != nil || m[0].Err != nil {
				t.Fatalf("Send = %d, %v, %v", n, err, m[0].Err)
			}
			got, trains := receiveTrains(t, b, len(want))
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%d datagrams arrived, %d were sent", len(got), len(want))
			}
			if b == apart && trains > 0 {
				t.Fatal("a train arrived where none was asked for")
			}
		}
	})
}

func TestTrainsTravelInOnePiece(t *testing.T) {
	a, b := pair(t, Config{Offloads: allOffloads})
	m := []Message{{Addr: b.LocalAddr(), SegmentSize: 1000, Buffers: [][]byte{make([]byte, 44500)}}}
	if n, err := a.Send(m); n != 1 || err != nil {
		t.Fatalf("Send = %d, %v", n, err)
	}
	msgs := NewMessages(4, MaxPayload)
	if !wholeTrains(t) { // the loopback device has cut it: nothing but datagrams
		if got, trains := receiveTrains(t, b, 45); len(got) != 45 || len(got[44]) != 500 || trains != 0 {
			t.Errorf("%d datagrams, %d trains", len(got), trains)
		}
		return
	}
	n, err := b.Receive(msgs)
	if n != 1 || err != nil || msgs[0].N != 44500 || msgs[0].SegmentSize != 1000 {
		t.Errorf("Receive = %d, %v; %d bytes of %d each", n, err, msgs[0].N, msgs[0].SegmentSize)
	}
	// The kernel's report about the train does not stay for the next message.
	if _, err := a.Send(texts(b.LocalAddr(), "single")); err != nil {
		t.Fatal(err)
	}
	if n, err := b.Receive(msgs); n != 1 || err != nil || msgs[0].SegmentSize != 0 {
		t.Errorf("Receive = %d, %v; single datagram of %d each", n, err, msgs[0].SegmentSize)
	}
}

// If a kernel refuses to send a train, all its datagrams are sent, and all
// following ones.
func TestTrainThatTheKernelRefuses(t *testing.T) {
	for errno, want := range map[unix.Errno]int{unix.EIO: 1, unix.EINVAL: MaxSegments} {
		a, b := pair(t, Config{Offloads: allOffloads})
		m := Message{Addr: b.LocalAddr(), SegmentSize: 4, Buffers: [][]byte{[]byte("one."), []byte("two.thr"), []byte("ee!"), nil}}
		n := a.sendAnyway(&m, errno)
		if n != 1 || m.Err != nil || m.Lost != 0 {
			t.Errorf("%v: %d sent; %v, %d lost", errno, n, m.Err, m.Lost)
		}
		if got, _ := receiveTrains(t, b, 4); fmt.Sprint(got) != "[one. two. thre e!]" {
			t.Errorf("%v: received %q", errno, got)
		}
		if a.MaxSegments() != want {
			t.Errorf("%v: trains of %d afterwards, want %d", errno, a.MaxSegments(), want)
		}
		if o := a.Offloads()[0]; o.Used != (want > 1) || o.Used != (o.Note == "") {
			t.Errorf("%v: state %+v", errno, o)
		}
	}
	a, _ := pair(t, Config{Offloads: allOffloads})
	m := Message{SegmentSize: 4, Buffers: [][]byte{make([]byte, 9)}}
	if n := a.sendAnyway(&m, unix.EIO); n != 0 || m.Err == nil || m.Lost != 3 || m.Missing != 0b111 {
		t.Errorf("to nowhere: %d sent; %v, %d lost, want 3, %b", n, m.Err, m.Lost, m.Missing)
	}
}

// A train on a path that has become narrow, by a socket that sends no trains:
// the datagram at its end may be short enough.
func TestTrainTellsWhichDatagramsAreMissing(t *testing.T) {
	a, b := pair(t, Config{Offloads: allOffloads})
	const size = MaxPayload + 1 // what loopback takes, and a byte
	m := Message{Addr: b.LocalAddr(), SegmentSize: size, Buffers: [][]byte{make([]byte, size), make([]byte, size), []byte("end")}}
	if n := a.sendAnyway(&m, unix.EIO); n != 0 || m.Err != ErrTooLong || m.Lost != 2 || m.Missing != 0b011 {
		t.Errorf("%d sent; %v, %d lost, want 2, %b", n, m.Err, m.Lost, m.Missing)
	}
	if got := receive(t, b, 1); got[0] != "end" {
		t.Errorf("%q arrived, not the end", got)
	}
}

// More segments than the kernel permits: a genuine EINVAL.
func TestTrainThatIsTooLong(t *testing.T) {
	a, b := pair(t, Config{Offloads: allOffloads})
	payload := bytes.Repeat([]byte{1}, 200)
	m := []Message{{Addr: b.LocalAddr(), SegmentSize: 1, Buffers: [][]byte{payload}}}
	if n, err := a.Send(m); n != 1 || err != nil || m[0].Err != nil {
		t.Fatalf("Send = %d, %v, %v", n, err, m[0].Err)
	}
	if got, _ := receiveTrains(t, b, 200); len(got) != 200 {
		t.Errorf("%d datagrams", len(got))
	}
}

func TestKernelsThatCorruptTrains(t *testing.T) {
	for release, want := range map[string]bool{
		"6.18.44-fc": false, "7.0.0": true, "7.0.11-2-generic": true, "7.1.0": true, "7.1.4-arch": true, "7.1.5": false,
		"7.2.0": false, "7.1": true, "8.0.1": false, "": false, "odd": false,
	} {
		if got := corruptsTrains(release); got != want {
			t.Errorf("%q: %v, want %v", release, got, want)
		}
	}
}

func TestOffloadsSwitchedOffAreSaid(t *testing.T) {
	a := listen(t, Config{})[0]
	for i, name := range []string{"udp-gso", "udp-gro"} {
		if o := a.Offloads()[i]; o != (OffloadState{Name: name, Note: noteOff}) {
			t.Errorf("%+v", o)
		}
	}
	for _, o := range listen(t, Config{Offloads: allOffloads})[0].Offloads() {
		if !o.Used || o.Note != "" {
			t.Errorf("%+v", o)
		}
	}
}

func TestTrainsAllocateNothing(t *testing.T) {
	a, b := pair(t, Config{Offloads: allOffloads})
	out := []Message{{Addr: b.LocalAddr(), SegmentSize: 1400}}
	for range 40 {
		out[0].Buffers = append(out[0].Buffers, make([]byte, 40), make([]byte, 1360))
	}
	pieces := 1
	if !wholeTrains(t) {
		pieces = 40
	}
	in := NewMessages(pieces, MaxPayload)
	arrives := poll.NewWaiter(b.Descriptor())
	step := func() {
		if n, err := a.Send(out); n != 1 || err != nil {
			t.Fatalf("Send = %d, %v, %v", n, err, out[0].Err)
		}
		for got := 0; got < pieces; {
			if err := arrives.Wait(1, time.Millisecond); err != nil { // a kernel with much to do lets it wait
				t.Fatal(err)
			}
			n, err := b.Receive(in)
			if got += n; got > pieces || err != nil {
				t.Fatalf("Receive = %d, %v; %d of %d", n, err, got, pieces)
			}
		}
	}
	step()
	if allocs := testing.AllocsPerRun(50, step); allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}
