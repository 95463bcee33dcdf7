// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// arrivals returns the texts that come to each of the lanes, trains cut: n in
// all, or what there is after 5 s. The loopback interface does not always
// deliver before the sender goes on.
func arrivals(t *testing.T, lanes []*Conn, n int) [][]string {
	t.Helper()
	texts := make([][]string, len(lanes))
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		total := 0
		for i, lane := range lanes {
			texts[i] = append(texts[i], waiting(t, lane)...)
			total += len(texts[i])
		}
		if total >= n || time.Now().After(end) {
			return texts
		}
	}
}

// waiting returns the texts that wait in a lane, trains cut.
func waiting(t *testing.T, lane *Conn) (texts []string) {
	t.Helper()
	for room := NewMessages(DefaultBatch, 2000); ; {
		n, err := lane.Receive(room)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return texts
		}
		for _, m := range room[:n] {
			size := max(m.SegmentSize, 1)
			if m.SegmentSize == 0 {
				size = m.N
			}
			for datagram := range slices.Chunk(m.Buffers[0][:m.N], size) {
				texts = append(texts, string(datagram))
			}
		}
	}
}

func TestExpressHasALaneOfItsOwn(t *testing.T) {
	for _, lanes := range []int{1, 3} {
		to := listen(t, Config{Lanes: lanes, Express: true, Offloads: allOffloads})
		if len(to) != lanes+1 {
			t.Fatalf("%d sockets for %d lanes and the express one", len(to), lanes)
		}
		from := listen(t, Config{Express: true, Offloads: allOffloads})
		var msgs []Message
		for i := range 40 {
			m := texts(to[0].LocalAddr(), fmt.Sprintf("bulk %02d", i))[0]
			if m.Source, m.Express = i, i%2 == 0; m.Express {
				m.Buffers = [][]byte{[]byte("express express")}
				m.SegmentSize = len("express ")
			}
			msgs = append(msgs, m)
		}
		for i, c := range from { // whichever lane sends
			if n, err := c.Send(msgs); n != len(msgs) || err != nil {
				t.Fatalf("lane %d: Send = %d, %v; want %d", i, n, err, len(msgs))
			}
		}
		want := len(from) * (20 + 2*20)
		got := arrivals(t, to, want)
		total := 0
		for i, texts := range got {
			for _, text := range texts {
				if express := text[:4] != "bulk"; express != (i == lanes) {
					t.Errorf("%d lanes: %q came to lane %d", lanes, text, i)
				}
			}
			total += len(texts)
		}
		if total != want {
			t.Errorf("%d lanes: %d datagrams arrived, want %d: %q", lanes, total, want, got)
		}
	}
}

// A plain flannel host sends from the port that it listens on.
func TestOddPortsAreNotExpress(t *testing.T) {
	to := listen(t, Config{Lanes: 2, Express: true})
	const sent = 20
	for range sent {
		fd, port, err := openAnySource(netip.MustParseAddr("127.0.0.1"), 10_000)
		if err != nil {
			t.Fatal(err)
		}
		at := to[0].LocalAddr()
		err = unix.Sendto(fd, fmt.Append(nil, port&oddPort), 0, &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())})
		unix.Close(fd)
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := (Config{Lanes: 2, Express: true}).AllLanes(); n != len(to) {
		t.Errorf("%d lanes, AllLanes says %d", len(to), n)
	}
	for i, texts := range arrivals(t, to, sent) {
		for _, text := range texts {
			if want := map[bool]string{true: "0", false: "1"}[to[i].Express()]; text != want {
				t.Errorf("from a port of parity %s to lane %d", text, i)
			}
		}
	}
}

// A Conn without an express source sends express messages like all others.
func TestExpressWithoutASource(t *testing.T) {
	to := listen(t, Config{Express: true})
	from := listen(t, Config{Sources: 4})[0]
	msgs := texts(to[0].LocalAddr(), "one", "two")
	for i := range msgs {
		msgs[i].Express = true
	}
	if n, err := from.Send(msgs); n != 2 || err != nil {
		t.Fatalf("Send = %d, %v", n, err)
	}
	if got := fmt.Sprint(arrivals(t, to, len(msgs))); got != "[[one two] []]" {
		t.Errorf("received %s", got)
	}
}

func TestNoExpressPortIsAnError(t *testing.T) {
	if fd, err := openSource(netip.MustParseAddr("127.0.0.1"), 10_000, 2); err != unix.EADDRINUSE {
		t.Errorf("a port of a parity that there is not: descriptor %d, %v", fd, err)
	}
}
