// SPDX-License-Identifier: Apache-2.0

package encaptest

import (
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"flanneld/encap"
	"flanneld/internal/poll"
)

// The fake must behave like the real connection wherever the forwarding loops
// depend on it, so both go through the same tests.

// conn is what both are.
type conn interface {
	Send([]encap.Message) (int, error)
	Receive([]encap.Message) (int, error)
	PathMTU(netip.Addr) (int, error)
	Overflows() uint64
	Close() error
}

// link is two connections, the address that b has for a, and what to wait for b
// with.
type link struct {
	a, b conn
	toB  netip.AddrPort
	wait func() error
}

// receive waits until b has something.
func (l link) receive(msgs []encap.Message) (int, error) {
	for {
		if n, err := l.b.Receive(msgs); n > 0 || err != nil {
			return n, err
		}
		if err := l.wait(); err != nil {
			return 0, err
		}
	}
}

func realLink(t *testing.T) link {
	t.Helper()
	var conns [2]*encap.Conn
	for i := range conns {
		l, err := encap.Listen(netip.MustParseAddrPort("127.0.0.1:0"), encap.Config{})
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = l[0]
		t.Cleanup(func() { l[0].Close() })
	}
	return link{conns[0], conns[1], conns[1].LocalAddr(), func() error {
		return poll.NewWaiter(conns[1].Descriptor()).Wait(1, time.Millisecond)
	}}
}

func fakeLink(t *testing.T) link {
	t.Helper()
	addrA := netip.MustParseAddrPort("192.0.2.1:8285")
	addrB := netip.MustParseAddrPort("192.0.2.2:8285")
	a, b := NewConn(), NewConn()
	something := make(chan struct{}, 1)
	b.Notify(func() {
		select {
		case something <- struct{}{}:
		default:
		}
	})
	pump := make(chan struct{})
	go func() { // carries what a sends to b, until a is closed
		defer close(pump)
		for {
			sent := a.Sent(1)
			if len(sent) == 0 {
				return
			}
			b.Deliver(Datagram{Addr: addrA, Payload: sent[0].Payload})
		}
	}()
	t.Cleanup(func() {
		a.Close()
		b.Close()
		<-pump
	})
	return link{a, b, addrB, func() error {
		<-something
		return nil
	}}
}

func onBoth(t *testing.T, test func(*testing.T, link)) {
	t.Run("real", func(t *testing.T) { test(t, realLink(t)) })
	t.Run("fake", func(t *testing.T) { test(t, fakeLink(t)) })
}

func message(to netip.AddrPort, parts ...string) encap.Message {
	m := encap.Message{Addr: to}
	for _, p := range parts {
		m.Buffers = append(m.Buffers, []byte(p))
	}
	return m
}

func TestDatagramsArriveWholeAndInOrder(t *testing.T) {
	onBoth(t, func(t *testing.T, l link) {
		msgs := []encap.Message{message(l.toB, "head", "tail"), message(l.toB), message(l.toB, "longer than the room")}
		if n, err := l.a.Send(msgs); n != 3 || err != nil {
			t.Fatalf("Send = %d, %v", n, err)
		}
		in := encap.NewMessages(1, 8)
		for _, want := range []struct {
			text string
			cut  bool
		}{{"headtail", false}, {"", false}, {"longer t", true}} {
			if n, err := l.receive(in); n != 1 || err != nil {
				t.Fatalf("Receive = %d, %v", n, err)
			}
			if got := string(in[0].Buffers[0][:in[0].N]); got != want.text || in[0].Truncated != want.cut {
				t.Errorf("received %q, truncated %v; want %q, %v", got, in[0].Truncated, want.text, want.cut)
			}
		}
	})
}

func TestTooLongFailsAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, l link) {
		msgs := []encap.Message{message(l.toB, strings.Repeat("x", encap.MaxPayload+1)), message(l.toB, "short")}
		if n, err := l.a.Send(msgs); n != 1 || err != nil {
			t.Errorf("Send = %d, %v; want 1 message", n, err)
		}
		if msgs[0].Err != encap.ErrTooLong || msgs[1].Err != nil {
			t.Errorf("messages: %v, %v", msgs[0].Err, msgs[1].Err)
		}
		if mtu, err := l.a.PathMTU(l.toB.Addr()); err != nil || mtu > 65535 || mtu < 1280 {
			t.Errorf("path MTU %d, %v", mtu, err)
		}
	})
}

func TestCloseEndsEverything(t *testing.T) {
	onBoth(t, func(t *testing.T, l link) {
		received := make(chan error)
		go func() {
			_, err := l.receive(encap.NewMessages(1, 8))
			received <- err
		}()
		if err := l.b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-received; err != net.ErrClosed && err != fs.ErrClosed {
			t.Errorf("Receive: %v, want that it is closed", err)
		}
		if n, err := l.b.Send([]encap.Message{message(l.toB, "x")}); n != 0 || err != net.ErrClosed {
			t.Errorf("Send = %d, %v, want %v", n, err, net.ErrClosed)
		}
		if n := l.b.Overflows(); n != 0 {
			t.Errorf("%d overflows", n)
		}
		if err := l.b.Close(); err != net.ErrClosed {
			t.Errorf("second Close: %v, want %v", err, net.ErrClosed)
		}
	})
}
