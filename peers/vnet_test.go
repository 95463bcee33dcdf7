// SPDX-License-Identifier: Apache-2.0

//go:build !race

package peers

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"flanneld/peers/internal/gossip"
)

// vnet is an underlay without a kernel: sockets made of channels and timers,
// for nodes that run in virtual time. Datagrams are delayed, lost and
// reordered; streams are delayed and, while their way is cut, wait as TCP's
// retransmissions do. A cut has a direction.
type vnet struct {
	latency, jitter time.Duration // one way: latency, and up to jitter more

	mu       sync.Mutex
	rand     *rand.Rand
	loss     float64 // of datagrams, 0 to 1
	cut      func(from, to netip.Addr) bool
	busy     time.Duration // what a host takes to read one datagram
	udp      map[netip.AddrPort]*vudp
	tcp      map[netip.AddrPort]*vlistener
	nextPort uint16
	sent     map[netip.Addr]uint64 // bytes with IP, UDP and TCP headers
}

const (
	vqueue      = 4096                   // datagrams a socket holds
	vretransmit = 200 * time.Millisecond // TCP's shortest time-out
	udpHeaders  = 28
	tcpHeaders  = 52 // with timestamps
)

func newVnet(seed uint64) *vnet {
	return &vnet{
		latency: 200 * time.Microsecond, jitter: 300 * time.Microsecond,
		rand: rand.New(rand.NewPCG(seed, seed)), udp: map[netip.AddrPort]*vudp{}, tcp: map[netip.AddrPort]*vlistener{},
		nextPort: 32768, sent: map[netip.Addr]uint64{},
	}
}

// sever cuts the ways for which f is true, until heal.
func (n *vnet) sever(f func(from, to netip.Addr) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = f
}

func (n *vnet) heal() { n.sever(nil) }

func (n *vnet) lose(share float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = share
}

// occupy makes all hosts take that long to read one datagram.
func (n *vnet) occupy(each time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.busy = each
}

func (n *vnet) occupied() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.busy
}

// between severs two groups both ways.
func between(some []*host) func(from, to netip.Addr) bool {
	in := map[netip.Addr]bool{}
	for _, h := range some {
		in[h.config.Advertise] = true
	}
	return func(from, to netip.Addr) bool { return in[from] != in[to] }
}

// traffic is what all hosts have sent so far, in bytes.
func (n *vnet) traffic() (sum uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, b := range n.sent {
		sum += b
	}
	return sum
}

func (n *vnet) count(from netip.Addr, bytes int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sent[from] += uint64(bytes)
}

// delay is how long something takes one way.
func (n *vnet) delay() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.latency + time.Duration(n.rand.Int64N(int64(n.jitter)+1))
}

func (n *vnet) blocked(from, to netip.Addr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cut != nil && n.cut(from, to)
}

func (n *vnet) lost() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.loss > 0 && n.rand.Float64() < n.loss
}

func (n *vnet) ListenUDP(at netip.AddrPort) (gossip.Datagrams, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.udp[at] != nil {
		return nil, syscall.EADDRINUSE
	}
	s := &vudp{net: n, at: at, in: make(chan vdatagram, vqueue), closed: make(chan struct{})}
	n.udp[at] = s
	return s, nil
}

type vdatagram struct {
	from netip.AddrPort
	b    []byte
	at   time.Time // when it was there
}

type vudp struct {
	net    *vnet
	at     netip.AddrPort
	in     chan vdatagram
	once   sync.Once
	closed chan struct{}
}

func (s *vudp) Read(b []byte) (int, netip.AddrPort, time.Duration, error) {
	select {
	case d := <-s.in:
		if busy := s.net.occupied(); busy > 0 {
			time.Sleep(busy)
		}
		return copy(b, d.b), d.from, time.Since(d.at), nil
	case <-s.closed:
		return 0, netip.AddrPort{}, 0, net.ErrClosed
	}
}

func (s *vudp) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	select {
	case <-s.closed:
		return 0, net.ErrClosed
	default:
	}
	s.net.send(b, s.at, to)
	return len(b), nil
}

// send sends a datagram from an endpoint, whether a socket is there or not.
func (n *vnet) send(b []byte, from, to netip.AddrPort) {
	n.count(from.Addr(), len(b)+udpHeaders)
	if n.lost() || n.blocked(from.Addr(), to.Addr()) {
		return
	}
	d := vdatagram{from: from, b: append([]byte(nil), b...)}
	time.AfterFunc(n.delay(), func() {
		d.at = time.Now()
		n.mu.Lock()
		peer := n.udp[to]
		n.mu.Unlock()
		if peer == nil {
			return
		}
		select {
		case peer.in <- d:
		default: // no room
		}
	})
}

func (s *vudp) Close() error {
	s.once.Do(func() {
		close(s.closed)
		s.net.mu.Lock()
		defer s.net.mu.Unlock()
		delete(s.net.udp, s.at)
	})
	return nil
}

func (n *vnet) ListenTCP(at netip.AddrPort) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.tcp[at] != nil {
		return nil, syscall.EADDRINUSE
	}
	l := &vlistener{net: n, at: at, in: make(chan net.Conn, 128), closed: make(chan struct{})}
	n.tcp[at] = l
	return l, nil
}

type vlistener struct {
	net    *vnet
	at     netip.AddrPort
	in     chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *vlistener) Accept() (net.Conn, error) {
	select {
	case c := <-l.in:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *vlistener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.at) }

func (l *vlistener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.net.mu.Lock()
		defer l.net.mu.Unlock()
		delete(l.net.tcp, l.at)
	})
	return nil
}

// DialTCP tries again every second, as SYNs do, until there is a way both ways.
func (n *vnet) DialTCP(ctx context.Context, from netip.Addr, to string, timeout time.Duration) (net.Conn, error) {
	at, err := netip.ParseAddrPort(to)
	if err != nil {
		return nil, err
	}
	late := time.After(timeout)
	for wait := n.delay() + n.delay(); ; wait = time.Second {
		n.count(from, tcpHeaders)
		select {
		case <-time.After(wait):
		case <-late:
			return nil, os.ErrDeadlineExceeded
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if n.blocked(from, at.Addr()) || n.blocked(at.Addr(), from) {
			continue
		}
		n.mu.Lock()
		l := n.tcp[at]
		n.nextPort = max(n.nextPort+1, 32768)
		here := netip.AddrPortFrom(from, n.nextPort)
		n.mu.Unlock()
		if l == nil {
			return nil, syscall.ECONNREFUSED
		}
		return l.connect(here)
	}
}

func (l *vlistener) connect(from netip.AddrPort) (net.Conn, error) {
	near, far := newVconn(l.net, from, l.at), newVconn(l.net, l.at, from)
	near.peer, far.peer = far, near
	select {
	case l.in <- far:
		go near.pump()
		go far.pump()
		return near, nil
	case <-l.closed:
		return nil, syscall.ECONNREFUSED
	}
}

// vconn is one end of a stream.
type vconn struct {
	net         *vnet
	local, away netip.AddrPort
	peer        *vconn
	wake        chan struct{} // one token: something to read, or another deadline
	out         chan struct{} // one token: something to send
	once        sync.Once
	closed      chan struct{}

	mu       sync.Mutex
	in       []byte
	end      bool // no more comes
	sending  []vsegment
	deadline time.Time
}

// wake leaves a token in a channel that holds one.
func wake(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// vsegment is what one Write sent.
type vsegment struct {
	b   []byte
	due time.Time
}

func newVconn(n *vnet, local, away netip.AddrPort) *vconn {
	return &vconn{net: n, local: local, away: away, wake: make(chan struct{}, 1), out: make(chan struct{}, 1), closed: make(chan struct{})}
}

// pump brings what was written to the other end, in order, until this end is
// closed and everything has arrived. After that the other end reads no more;
// one that is cut off for a minute gives up.
func (c *vconn) pump() {
	for {
		s, ok := c.next()
		if !ok {
			break
		}
		time.Sleep(time.Until(s.due))
		for tries := 0; c.net.blocked(c.local.Addr(), c.away.Addr()) && tries < 300; tries++ {
			time.Sleep(vretransmit)
		}
		c.peer.deliver(s.b, false)
	}
	c.peer.deliver(nil, true)
}

// next waits for the next segment; not ok when there are no more.
func (c *vconn) next() (vsegment, bool) {
	for {
		c.mu.Lock()
		if len(c.sending) > 0 {
			s := c.sending[0]
			c.sending = c.sending[1:]
			c.mu.Unlock()
			return s, true
		}
		c.mu.Unlock()
		select {
		case <-c.out:
			continue
		default:
		}
		select {
		case <-c.out:
		case <-c.closed:
			c.mu.Lock()
			over := len(c.sending) == 0
			c.mu.Unlock()
			if over {
				return vsegment{}, false
			}
		case <-c.peer.closed: // no reader
			return vsegment{}, false
		}
	}
}

func (c *vconn) deliver(b []byte, end bool) {
	c.mu.Lock()
	c.in, c.end = append(c.in, b...), c.end || end
	c.mu.Unlock()
	wake(c.wake)
}

func (c *vconn) Read(p []byte) (int, error) {
	for {
		c.mu.Lock()
		n := copy(p, c.in)
		c.in = c.in[n:]
		end, deadline := c.end, c.deadline
		c.mu.Unlock()
		switch {
		case n > 0:
			return n, nil
		case end:
			return 0, io.EOF
		}
		if err := c.wait(deadline); err != nil {
			return 0, err
		}
	}
}

// wait returns when there may be something to read.
func (c *vconn) wait(deadline time.Time) error {
	var late <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-c.wake:
		return nil
	case <-late:
		return os.ErrDeadlineExceeded
	case <-c.closed:
		return net.ErrClosed
	}
}

func (c *vconn) Write(p []byte) (int, error) {
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	case <-c.peer.closed:
		return 0, syscall.EPIPE
	default:
	}
	c.net.count(c.local.Addr(), len(p)+tcpHeaders*(1+len(p)/1448))
	c.mu.Lock()
	c.sending = append(c.sending, vsegment{append([]byte(nil), p...), time.Now().Add(c.net.delay())})
	c.mu.Unlock()
	wake(c.out)
	return len(p), nil
}

func (c *vconn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func (c *vconn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c *vconn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.away) }

func (c *vconn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

func (c *vconn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.deadline = t
	c.mu.Unlock()
	wake(c.wake)
	return nil
}

// SetWriteDeadline does nothing: a Write never waits.
func (c *vconn) SetWriteDeadline(time.Time) error { return nil }

var (
	_ gossip.Sockets = (*vnet)(nil)
	_ net.Conn       = (*vconn)(nil)
)

func TestVirtualStreamCarriesWhatIsWritten(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T) {
		n := newVnet(1)
		at := netip.MustParseAddrPort("127.0.0.1:7")
		l, err := n.ListenTCP(at)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if _, err := n.ListenTCP(at); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("the same port twice: %v", err)
		}
		near, err := n.DialTCP(t.Context(), netip.MustParseAddr("127.0.0.2"), at.String(), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		far, _ := l.Accept()
		_ = far.SetDeadline(time.Now().Add(time.Second))
		if _, err := far.Read(make([]byte, 1)); !os.IsTimeout(err) {
			t.Errorf("nothing was written, and read %v", err)
		}
		_ = far.SetDeadline(time.Time{})
		n.sever(func(from, _ netip.Addr) bool { return from == at.Addr() }) // the other way round
		start := time.Now()
		for _, text := range []string{"one", "two"} {
			_, _ = near.Write([]byte(text))
		}
		_ = near.Close()
		if b, err := io.ReadAll(far); err != nil || string(b) != "onetwo" || time.Since(start) > 2*time.Millisecond {
			t.Errorf("%q after %v, %v", b, time.Since(start), err)
		}
		_ = far.Close()
		if _, err := n.DialTCP(t.Context(), netip.MustParseAddr("127.0.0.2"), at.String(), 5*time.Second); !os.IsTimeout(err) {
			t.Errorf("dialed through a cut: %v", err)
		}
	})
}
