// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"flanneld/internal/poll"
)

// These tests use the loopback interface and need no rights.

var anyPort = netip.MustParseAddrPort("127.0.0.1:0")

// listen opens connections that are closed when the test ends.
func listen(t testing.TB, cfg Config) []*Conn {
	t.Helper()
	conns, err := Listen(anyPort, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, c := range conns {
			c.Close()
		}
	})
	return conns
}

// pair opens two connections.
func pair(t *testing.T, cfg Config) (a, b *Conn) {
	t.Helper()
	return listen(t, cfg)[0], listen(t, cfg)[0]
}

// texts makes one message of one buffer for each text.
func texts(to netip.AddrPort, texts ...string) []Message {
	msgs := make([]Message, len(texts))
	for i, s := range texts {
		msgs[i] = Message{Addr: to, Buffers: [][]byte{[]byte(s)}}
	}
	return msgs
}

// receiveSome waits for messages.
func receiveSome(c *Conn, msgs []Message) (int, error) {
	w := poll.NewWaiter(c.Descriptor())
	for {
		if n, err := c.Receive(msgs); n > 0 || err != nil {
			return n, err
		}
		if err := w.Wait(1, time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// receive receives n datagrams, in as many batches as it takes.
func receive(t *testing.T, c *Conn, n int) []string {
	t.Helper()
	var got []string
	msgs := NewMessages(n, 2000)
	for len(got) < n {
		k, err := receiveSome(c, msgs)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range msgs[:k] {
			got = append(got, string(m.Buffers[0][:m.N]))
		}
	}
	return got
}

func TestDatagramsArriveInOrder(t *testing.T) {
	a, b := pair(t, Config{})
	msgs := texts(b.LocalAddr(), "one", "", "three")
	if n, err := a.Send(msgs); n != 3 || err != nil {
		t.Fatalf("Send = %d, %v; want 3 messages", n, err)
	}
	if got := receive(t, b, 3); got[0] != "one" || got[1] != "" || got[2] != "three" {
		t.Errorf("received %q", got)
	}
}

func TestReceiveTellsTheSender(t *testing.T) {
	a, b := pair(t, Config{Sources: 1})
	if _, err := a.Send(texts(b.LocalAddr(), "hello")); err != nil {
		t.Fatal(err)
	}
	msgs := NewMessages(4, 100)
	n, err := b.Receive(msgs)
	if n != 1 || err != nil {
		t.Fatalf("Receive = %d, %v", n, err)
	}
	if msgs[0].Addr != a.LocalAddr() || msgs[0].N != 5 || msgs[0].Truncated {
		t.Errorf("received %+v; want 5 bytes from %s", msgs[0], a.LocalAddr())
	}
}

func TestMoreMessagesThanABatch(t *testing.T) {
	a, b := pair(t, Config{Batch: 4})
	var want []string
	for i := range 11 {
		want = append(want, fmt.Sprint("datagram ", i))
	}
	if n, err := a.Send(texts(b.LocalAddr(), want...)); n != len(want) || err != nil {
		t.Fatalf("Send = %d, %v; want %d", n, err, len(want))
	}
	if got := receive(t, b, len(want)); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("received %q, want %q", got, want)
	}
}

func TestReceiveSeesTruncation(t *testing.T) {
	a, b := pair(t, Config{})
	if _, err := a.Send(texts(b.LocalAddr(), "exactly 16 bytes", "seventeen  bytes.")); err != nil {
		t.Fatal(err)
	}
	msgs := NewMessages(1, 16)
	for i, truncated := range []bool{false, true} {
		if _, err := b.Receive(msgs); err != nil {
			t.Fatal(err)
		}
		if msgs[0].Truncated != truncated || msgs[0].N != 16 {
			t.Errorf("datagram %d: %d bytes, truncated %v; want 16, %v", i, msgs[0].N, msgs[0].Truncated, truncated)
		}
	}
}

// A message's buffers are one datagram, however the payload is cut.
func TestBuffersAreGatheredAndScattered(t *testing.T) {
	a, b := pair(t, Config{})
	rapid.Check(t, func(t *rapid.T) {
		cut := func(payload []byte, label string) (buffers [][]byte) {
			for len(payload) > 0 {
				n := rapid.IntRange(1, len(payload)).Draw(t, label)
				buffers = append(buffers, payload[:n:n])
				payload = payload[n:]
			}
			return buffers
		}
		payload := rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(t, "payload")
		out := Message{Addr: b.LocalAddr(), Buffers: cut(payload, "send")}
		if n, err := a.Send([]Message{out}); n != 1 || err != nil {
			t.Fatalf("Send = %d, %v", n, err)
		}
		room := make([]byte, len(payload)+1)
		in := []Message{{Buffers: cut(room, "receive")}}
		if n, err := receiveSome(b, in); n != 1 || err != nil {
			t.Fatalf("Receive = %d, %v", n, err)
		}
		if in[0].N != len(payload) || !bytes.Equal(room[:in[0].N], payload) {
			t.Fatalf("received %x, want %x", room[:in[0].N], payload)
		}
	})
}

func TestOneBadMessageDoesNotKeepTheOthers(t *testing.T) {
	a, b := pair(t, Config{})
	msgs := texts(b.LocalAddr(), "one", strings.Repeat("x", MaxPayload+1), "two", "to IPv6", "to port 0", "three")
	msgs[3].Addr = netip.MustParseAddrPort("[::1]:1000")
	msgs[4].Addr = netip.AddrPortFrom(b.LocalAddr().Addr(), 0)
	n, err := a.Send(msgs)
	if n != 3 || err != nil {
		t.Errorf("Send = %d, %v; want 3 messages", n, err)
	}
	for i, want := range []error{nil, ErrTooLong, nil, unix.EAFNOSUPPORT, unix.EINVAL, nil} {
		if msgs[i].Err != want {
			t.Errorf("message %d: %v, want %v", i, msgs[i].Err, want)
		}
	}
	if got := receive(t, b, 3); fmt.Sprint(got) != "[one two three]" {
		t.Errorf("received %q", got)
	}
}

// An ICMP port unreachable that comes back must not fail what is sent later.
func TestClosedPortDoesNotDisturb(t *testing.T) {
	a, b := pair(t, Config{})
	gone := listen(t, Config{})[0]
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		msgs := append(texts(gone.LocalAddr(), "to no socket"), texts(b.LocalAddr(), "to b")...)
		if n, err := a.Send(msgs); n != 2 || err != nil {
			t.Fatalf("Send = %d, %v; want 2 messages", n, err)
		}
	}
	if got := receive(t, b, 3); fmt.Sprint(got) != "[to b to b to b]" {
		t.Errorf("received %q", got)
	}
}

func TestLanesShareThePort(t *testing.T) {
	conns := listen(t, Config{Lanes: 4})
	received := make(chan int)
	for i, c := range conns {
		if c.LocalAddr() != conns[0].LocalAddr() {
			t.Errorf("lane %d is on %s, lane 0 on %s", i, c.LocalAddr(), conns[0].LocalAddr())
		}
		go func() {
			msgs := NewMessages(4, 100)
			for {
				n, err := receiveSome(c, msgs)
				if err != nil {
					return
				}
				for range n {
					received <- i
				}
			}
		}()
	}
	lanes := map[int]bool{}
	for senders := 0; len(lanes) < 2; senders++ {
		if senders == 100 {
			t.Fatal("100 senders came to one lane")
		}
		a := listen(t, Config{})[0]
		if _, err := a.Send(texts(conns[0].LocalAddr(), "hello")); err != nil {
			t.Fatal(err)
		}
		lanes[<-received] = true
	}
}

func TestTakenPortIsAnError(t *testing.T) {
	for _, taken := range []int{1, 2} {
		for _, wanted := range []int{1, 2} {
			addr := listen(t, Config{Lanes: taken})[0].LocalAddr()
			before := openDescriptors(t)
			conns, err := Listen(addr, Config{Lanes: wanted})
			if !errors.Is(err, unix.EADDRINUSE) || conns != nil {
				t.Errorf("taken by %d lanes, wanted by %d: error %v, want %v", taken, wanted, err, unix.EADDRINUSE)
			}
			if after := openDescriptors(t); after != before {
				t.Errorf("%d descriptors open, %d before", after, before)
			}
		}
	}
}

func TestForeignAddressIsAnError(t *testing.T) {
	_, err := Listen(netip.MustParseAddrPort("192.0.2.1:0"), Config{})
	want := "encap: listen on UDP 192.0.2.1:0: cannot assign requested address: this host does not have the address"
	if err == nil || err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []Config{{Lanes: -1}, {Lanes: 257}, {Batch: -1}, {Batch: 1025}, {BufferSize: -1}, {BufferSize: 1<<30 + 1}, {Sources: -1}, {Sources: 3}, {Sources: 32}} {
		if conns, err := Listen(anyPort, cfg); err == nil {
			t.Errorf("Listen accepted %+v", cfg)
			conns[0].Close()
		}
	}
	if _, err := Listen(netip.MustParseAddrPort("[::1]:0"), Config{}); err == nil {
		t.Error("Listen accepted an IPv6 address")
	}
	if _, err := Listen(netip.AddrPort{}, Config{}); err == nil {
		t.Error("Listen accepted no address")
	}
}

func TestReceiveDoesNotWait(t *testing.T) {
	if n, err := listen(t, Config{})[0].Receive(NewMessages(1, 100)); n != 0 || err != nil {
		t.Errorf("Receive = %d, %v; want nothing", n, err)
	}
}

func TestCloseWakesAWaitingReceive(t *testing.T) {
	defer goleak.VerifyNone(t)
	c := listen(t, Config{})[0]
	failed := make(chan error)
	go func() {
		_, err := receiveSome(c, NewMessages(1, 100))
		failed <- err
	}()
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-failed; err != net.ErrClosed && err != fs.ErrClosed {
		t.Errorf("Receive: %v, want that it is closed", err)
	}
}

func TestNothingWorksAfterClose(t *testing.T) {
	a, b := pair(t, Config{})
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	msgs := texts(b.LocalAddr(), "one", "two")
	if n, err := a.Send(msgs); n != 0 || err != net.ErrClosed || msgs[1].Err != net.ErrClosed {
		t.Errorf("Send = %d, %v (second message: %v); want %v", n, err, msgs[1].Err, net.ErrClosed)
	}
	if _, err := a.Receive(NewMessages(1, 100)); err != net.ErrClosed {
		t.Errorf("Receive: %v, want %v", err, net.ErrClosed)
	}
	if _, err := a.PathMTU(netip.MustParseAddr("127.0.0.1")); err != net.ErrClosed {
		t.Errorf("PathMTU: %v, want %v", err, net.ErrClosed)
	}
	if n := a.Overflows(); n != 0 {
		t.Errorf("%d overflows", n)
	}
	if err := a.Close(); err != net.ErrClosed {
		t.Errorf("second Close: %v, want %v", err, net.ErrClosed)
	}
}

// Closing while others send must neither hang nor close a descriptor under a
// system call, which would show as an error of a message.
func TestCloseWhileSending(t *testing.T) {
	for range 50 {
		a, b := pair(t, Config{})
		var sender sync.WaitGroup
		sender.Go(func() {
			msgs := texts(b.LocalAddr(), "one", "two", "three")
			msgs[2].Source = 1
			for {
				_, err := a.Send(msgs)
				if err == net.ErrClosed {
					return
				}
				for i := range msgs {
					if msgs[i].Err != nil {
						t.Errorf("message %d: %v", i, msgs[i].Err)
					}
				}
			}
		})
		receive(t, b, 1)
		if err := a.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		sender.Wait()
	}
}

func TestCloseGivesDescriptorsBack(t *testing.T) {
	before := openDescriptors(t)
	conns, err := Listen(anyPort, Config{Lanes: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range conns {
		if _, err := c.PathMTU(netip.MustParseAddr("127.0.0.1")); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors open, %d before", after, before)
	}
}

// openDescriptors is the number of descriptors of this process.
func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestSocketsAreSetUp(t *testing.T) {
	for i, c := range listen(t, Config{Lanes: 2}) {
		fds := []int{c.descriptor.FD(), c.probe.fd}
		for _, fd := range append(c.sources, c.descriptor.FD()) {
			fds = append(fds, fd)
			if v, err := unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER); v != unix.IP_PMTUDISC_DO || err != nil {
				t.Errorf("lane %d: path MTU discovery %d, %v; want %d", i, v, err, unix.IP_PMTUDISC_DO)
			}
		}
		for _, fd := range fds {
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("lane %d: flags %#x, error %v; want close-on-exec", i, flags, err)
			}
		}
	}
}

func TestOneLaneDoesNotShareItsPort(t *testing.T) {
	c := listen(t, Config{})[0]
	if v, err := unix.GetsockoptInt(c.descriptor.FD(), unix.SOL_SOCKET, unix.SO_REUSEPORT); v != 0 || err != nil {
		t.Errorf("SO_REUSEPORT is %d, %v; want 0", v, err)
	}
}

func TestBufferSizesAreTold(t *testing.T) {
	c := listen(t, Config{BufferSize: 100_000})[0] // below the limit of any system
	receive, send, err := c.BufferSizes()
	if receive != 200_000 || send != 200_000 || err != nil {
		t.Errorf("buffers of %d and %d bytes, error %v; want 200000", receive, send, err)
	}
}

func TestPathMTUIsTheInterfaces(t *testing.T) {
	c := listen(t, Config{})[0]
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	want := min(lo.MTU, 65535) // no IP packet is longer
	got, err := c.PathMTU(netip.MustParseAddr("127.0.0.2"))
	if err != nil || got != want {
		t.Errorf("path MTU %d, %v; want %d", got, err, want)
	}
	if _, err := c.PathMTU(netip.MustParseAddr("::1")); err == nil {
		t.Error("a path MTU to an IPv6 address")
	}
}

func TestOverflowsAreCounted(t *testing.T) {
	a := listen(t, Config{})[0]
	b := listen(t, Config{BufferSize: 4096})[0]
	if n := b.Overflows(); n != 0 {
		t.Errorf("%d overflows before anything was sent", n)
	}
	const sent = 200
	payload := make([]byte, 1000)
	rand.Read(payload)
	msgs := make([]Message, sent)
	for i := range msgs {
		msgs[i] = Message{Addr: b.LocalAddr(), Buffers: [][]byte{payload}}
	}
	if n, err := a.Send(msgs); n != sent || err != nil {
		t.Fatalf("Send = %d, %v", n, err)
	}
	// A busy kernel queues or drops the last ones after Send has returned.
	overflows := b.Overflows()
	for quiet := 0; quiet < 10; quiet++ {
		time.Sleep(20 * time.Millisecond)
		if n := b.Overflows(); n != overflows {
			overflows, quiet = n, 0
		}
	}
	room := NewMessages(sent, 1000)
	queued, err := b.Receive(room)
	if err != nil {
		t.Fatal(err)
	}
	if n := b.Overflows(); n == 0 || n+uint64(queued) != sent {
		t.Errorf("%d queued and %d overflows of %d sent", queued, n, sent)
	}
}

func TestSendAndReceiveAllocateNothing(t *testing.T) {
	a, b := pair(t, Config{})
	header, payload := make([]byte, 20), make([]byte, 1400)
	out := make([]Message, 8)
	for i := range out {
		out[i] = Message{Addr: b.LocalAddr(), Source: i, Buffers: [][]byte{header, payload}}
	}
	out[3].Addr = netip.MustParseAddrPort("[::1]:1000") // errors are free, too
	in := NewMessages(8, 1500)
	allocs := testing.AllocsPerRun(100, func() {
		if n, err := a.Send(out); n != 7 || err != nil {
			t.Fatalf("Send = %d, %v", n, err)
		}
		for got := 0; got < 7; {
			n, err := b.Receive(in)
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations a batch, want none", allocs)
	}
}
