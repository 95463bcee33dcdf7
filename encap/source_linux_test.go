// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// senders receives n datagrams and returns, for each port that they came from,
// their texts in order.
func senders(t *testing.T, c *Conn, n int) map[netip.AddrPort][]string {
	t.Helper()
	got := make(map[netip.AddrPort][]string)
	msgs := NewMessages(16, 100)
	for n > 0 {
		k, err := receiveSome(c, msgs)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range msgs[:k] {
			got[m.Addr] = append(got[m.Addr], string(m.Buffers[0][:m.N]))
		}
		n -= k
	}
	return got
}

// Each source is a port. Messages from it arrive in order, also if there are
// more than the kernel is given at once.
func TestSourcesArePorts(t *testing.T) {
	for _, sources := range []int{1, 2, 8} {
		a, b := listen(t, Config{Sources: sources, Batch: 5})[0], listen(t, Config{})[0]
		if a.Sources() != sources {
			t.Fatalf("%d sources, want %d", a.Sources(), sources)
		}
		const each = 7
		want := make([][]string, sources)
		var msgs []Message
		for i := range each * sources {
			source := i * 5 % sources
			text := fmt.Sprintf("%d of %d", i, source)
			want[source] = append(want[source], text)
			msgs = append(msgs, texts(b.LocalAddr(), text)...)
			msgs[i].Source = source
		}
		if n, err := a.Send(msgs); n != len(msgs) || err != nil {
			t.Fatalf("Send = %d, %v; want %d", n, err, len(msgs))
		}
		got := senders(t, b, len(msgs))
		if len(got) != sources {
			t.Errorf("%d sources: datagrams from %d ports", sources, len(got))
		}
		for source, fd := range a.sources {
			at, err := localAddr(fd)
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(got[at]) != fmt.Sprint(want[source]) {
				t.Errorf("from source %d of %d, %s: %q, want %q", source, sources, at, got[at], want[source])
			}
			if own := at == a.LocalAddr(); own != (sources == 1) {
				t.Errorf("%d sources: one is the port %s listened on", sources, at)
			}
		}
	}
}

func TestOneBadMessageDoesNotKeepThoseOfOtherSources(t *testing.T) {
	a, b := listen(t, Config{Sources: 2})[0], listen(t, Config{})[0]
	msgs := texts(b.LocalAddr(), "zero", "nowhere", "nowhere, either", "one", "zero again")
	for i, source := range []int{0, 0, 1, 1, 0} {
		msgs[i].Source = source
	}
	nowhere := netip.AddrPortFrom(b.LocalAddr().Addr(), 0)
	msgs[1].Addr, msgs[2].Addr = nowhere, nowhere
	if n, err := a.Send(msgs); n != 3 || err != nil {
		t.Errorf("Send = %d, %v; want 3 messages", n, err)
	}
	for i, want := range []error{nil, unix.EINVAL, unix.EINVAL, nil, nil} {
		if msgs[i].Err != want {
			t.Errorf("message %d: %v, want %v", i, msgs[i].Err, want)
		}
	}
	if got := senders(t, b, 3); len(got) != 2 {
		t.Errorf("received %v", got)
	}
}

// A train that goes datagram by datagram keeps its source and its type of
// service.
func TestTrainApartKeepsItsSource(t *testing.T) {
	const sources, ef = 4, 0xb8
	a := listen(t, Config{Sources: sources, Express: true, Offloads: allOffloads})[0]
	b := listen(t, Config{})[0]
	for _, express := range []bool{false, true} {
		m := Message{Addr: b.LocalAddr(), Source: 3, Express: express, TOS: ef, SegmentSize: 1, Buffers: [][]byte{[]byte("abc")}}
		if n := a.sendAnyway(&m, unix.EIO); n != 1 || m.Err != nil {
			t.Fatalf("%d sent, %v", n, m.Err)
		}
		from := a.sources[3]
		if express {
			from = a.sources[sources]
		}
		at, err := localAddr(from)
		if err != nil {
			t.Fatal(err)
		}
		msgs := NewMessages(3, 100)
		for _, want := range []string{"a", "b", "c"} {
			if n, err := receiveSome(b, msgs[:1]); n != 1 || err != nil {
				t.Fatalf("Receive = %d, %v", n, err)
			}
			if got := string(msgs[0].Buffers[0][:msgs[0].N]); got != want || msgs[0].Addr != at || msgs[0].TOS != ef {
				t.Errorf("express %v: received %q from %s with type of service %#x, want %q from %s with %#x",
					express, got, msgs[0].Addr, msgs[0].TOS, want, at, ef)
			}
		}
	}
}

// No program reads what arrives at a source; it must not pile up, either.
func TestSourcesReceiveNothing(t *testing.T) {
	a, b := listen(t, Config{Sources: 2})[0], listen(t, Config{})[0]
	for _, fd := range a.sources {
		at, err := localAddr(fd)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := b.Send(texts(at, "hello", "is it there")); n != 2 || err != nil {
			t.Fatalf("Send = %d, %v", n, err)
		}
		time.Sleep(20 * time.Millisecond) // a busy kernel delivers after Send has returned
		if n, err := unix.Read(fd, make([]byte, 100)); err != unix.EAGAIN {
			t.Errorf("source %s: read %d bytes, %v; want nothing", at, n, err)
		}
	}
	if n := a.Overflows(); n != 0 {
		t.Errorf("%d overflows", n)
	}
}

// One sender's flows reach several lanes, each flow one lane.
func TestSourcesSpreadOverLanes(t *testing.T) {
	lanes := listen(t, Config{Lanes: 2})
	a := listen(t, Config{Sources: maxSources})[0]
	const rounds = 3
	var msgs []Message
	for i := range rounds * maxSources {
		msgs = append(msgs, texts(lanes[0].LocalAddr(), "hello")...)
		msgs[i].Source = i % maxSources
	}
	if n, err := a.Send(msgs); n != len(msgs) || err != nil {
		t.Fatalf("Send = %d, %v", n, err)
	}
	total := 0
	for i, texts := range arrivals(t, lanes, len(msgs)) {
		n := len(texts)
		if n == 0 || n%rounds != 0 { // none at all happens once in 32,768 times
			t.Errorf("lane %d got %d of %d datagrams", i, n, len(msgs))
		}
		total += n
	}
	if total != len(msgs) {
		t.Errorf("%d of %d datagrams arrived", total, len(msgs))
	}
}

func TestListenThatFailsHalfwayLeavesNothingOpen(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) })
	// Enough attempts that every step of Listen runs out of descriptors once:
	// it takes three for each lane, and one for each source, the express one
	// included.
	for spare := range uint64((1+1)*(3+2+1) + 2) {
		before := openDescriptors(t)
		tight := unix.Rlimit{Cur: uint64(before) + spare - 1, Max: limit.Max}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &tight); err != nil {
			t.Fatal(err)
		}
		conns, listenErr := Listen(anyPort, Config{Sources: 2, Express: true})
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		if listenErr == nil {
			for _, c := range conns {
				c.Close()
			}
			return
		}
		if !errors.Is(listenErr, unix.EMFILE) {
			t.Errorf("%d spare descriptors: error %v, want %v", spare, listenErr, unix.EMFILE)
		}
		if after := openDescriptors(t); after != before {
			t.Errorf("%d spare descriptors: %d open, %d before", spare, after, before)
		}
	}
	t.Error("Listen never succeeded")
}
