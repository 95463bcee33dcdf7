// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"

	"flanneld/peers/internal/gossip/wire"
)

const (
	datagramBuffer = maxPacket + 1 // bytes: one more tells that a datagram is too long
	socketBuffer   = 2 << 20       // bytes of datagrams the kernel holds while we are busy
)

// Transport is gossip's network: one UDP socket and one TCP listener on the
// same port. It differs from memberlist's own in four ways: its errors are
// distinct, streams are limited, what comes in passes the gate first, and
// Shutdown ends everything.
type Transport struct {
	gate    gatekeeper // set by serve
	sockets Sockets
	udp     Datagrams
	tcp     net.Listener
	local   netip.AddrPort // what it is bound to
	packets chan *memberlist.Packet
	streams chan net.Conn
	ctx     context.Context // ends with Shutdown
	cancel  context.CancelFunc
	loops   sync.WaitGroup

	mu        sync.Mutex
	open      map[*stream]struct{}
	incoming  int // of these, the ones that others dialed
	strangers int // of these, the ones from addresses of no member
	perHost   map[netip.Addr]int
	accepted  []netip.AddrPort    // where the last accepted streams came from, as a ring
	dials     map[string]*attempt // by the name a join gave it
	refused   uint64              // streams over a limit

	strangerRoom, memberRoom room // bytes of streams
}

// gatekeeper decides about what comes in; it is an [Agent].
type gatekeeper interface {
	// late reports whether a datagram has waited for too long to be taken in.
	late(waited time.Duration) bool
	// datagram takes a datagram in; it keeps b.
	datagram(b []byte, from netip.AddrPort)
	// streamMessage decides about the message of a stream, see
	// [Agent.streamMessage].
	streamMessage(b []byte, dialed bool, from netip.Addr) (head, tail []byte, err error)
	// mayCall reports whether a stranger may open another stream now.
	mayCall(from netip.Addr) bool
	// maySend reports whether n more bytes of a stranger's streams are read.
	maySend(n int, from netip.Addr) bool
	// refuse notes that a stream of a host was refused.
	refuse(err error, from netip.Addr)
	// knows reports whether a member is at an address.
	knows(addr netip.Addr) bool
	// ring has the cluster keys; nil where gossip is not sealed.
	ring() *wire.Keyring
}

var _ memberlist.NodeAwareTransport = (*Transport)(nil)

// Listen takes a port for TCP and UDP; port 0 stands for one that is free for
// both. An invalid bind address stands for all of this host's. Nothing is read
// before an agent has the transport, which then owns it.
func Listen(s Sockets, bind netip.Addr, port uint16) (*Transport, error) {
	if !bind.IsValid() {
		bind = netip.IPv4Unspecified()
	}
	tries := 1
	if port == 0 {
		tries = 10 // the port TCP got may be taken for UDP
	}
	var err error
	for range tries {
		var t *Transport
		if t, err = listenOn(s, netip.AddrPortFrom(bind, port)); err == nil {
			return t, nil
		}
	}
	return nil, err
}

func listenOn(s Sockets, at netip.AddrPort) (*Transport, error) {
	tcp, err := s.ListenTCP(at)
	if err != nil {
		return nil, listenFailure("TCP", at, err)
	}
	at = netip.AddrPortFrom(at.Addr(), tcpAddrPort(tcp.Addr()).Port())
	udp, err := s.ListenUDP(at)
	if err != nil {
		_ = tcp.Close()
		return nil, listenFailure("UDP", at, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := &Transport{
		sockets: s, udp: udp, tcp: tcp, local: at, ctx: ctx, cancel: cancel,
		packets: make(chan *memberlist.Packet),
		streams: make(chan net.Conn),
		open:    map[*stream]struct{}{},
		perHost: map[netip.Addr]int{},
		dials:   map[string]*attempt{},

		strangerRoom: newRoom(strangerBytes), memberRoom: newRoom(memberBytes),
	}
	return t, nil
}

// Local is what the transport is bound to.
func (t *Transport) Local() netip.AddrPort { return t.local }

// serve takes traffic in from now on; it is called once.
func (t *Transport) serve(gate gatekeeper) {
	t.gate = gate
	t.loops.Go(t.acceptLoop)
	t.loops.Go(t.readLoop)
}

func listenFailure(protocol string, at netip.AddrPort, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return newError(PortTaken, "gossip port %d is taken (%s on %s): stop the program that has it, or choose another with --gossip-port",
			at.Port(), protocol, at.Addr())
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return newError(BadConfig, "gossip cannot listen on %s: it is not an address of this host", at.Addr())
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("gossip cannot listen on %s (%s): %w: a port below 1024 needs CAP_NET_BIND_SERVICE "+
			"(CapabilityBoundingSet=CAP_NET_BIND_SERVICE in a drop-in of the unit): choose another with --gossip-port", at, protocol, syscall.EACCES)
	}
	return fmt.Errorf("listen for gossip (%s, --gossip-port %d): %w", protocol, at.Port(), err)
}

// acceptLoop takes streams in until Shutdown.
func (t *Transport) acceptLoop() {
	for {
		conn, err := t.tcp.Accept()
		if err != nil {
			if !t.pause(err) {
				return
			}
			continue
		}
		s := t.countStream(conn)
		if s == nil {
			_ = conn.Close()
			continue
		}
		t.loops.Go(func() { t.receive(s) })
	}
}

// receive reads the message of a stream that came in, and hands it to
// memberlist when it passes the gate.
func (t *Transport) receive(s *stream) {
	if s.stranger && !t.gate.mayCall(s.host) {
		_ = s.Close()
		return
	}
	_ = s.SetDeadline(time.Now().Add(streamTimeout))
	if err := s.receive(); err != nil {
		t.gate.refuse(err, s.host)
		if errors.Is(err, errKeyThere) || errors.Is(err, errNoKeyThere) || errors.Is(err, wire.ErrOtherKey) {
			s.explain()
		}
		_ = s.Close()
		return
	}
	select {
	case t.streams <- s:
	case <-t.ctx.Done():
		_ = s.Close()
	}
}

// readLoop takes datagrams in until Shutdown.
func (t *Transport) readLoop() {
	buf := make([]byte, datagramBuffer)
	for {
		n, from, waited, err := t.udp.Read(buf)
		if err != nil {
			if !t.pause(err) {
				return
			}
			continue
		}
		if n == 0 || t.gate.late(waited) {
			continue // memberlist wants a byte at least
		}
		t.gate.datagram(append([]byte(nil), buf[:n]...), netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
	}
}

// deliver hands memberlist a message, which it keeps.
func (t *Transport) deliver(msg []byte, from netip.AddrPort) {
	p := &memberlist.Packet{Buf: msg, From: net.UDPAddrFromAddrPort(from), Timestamp: time.Now()}
	select {
	case t.packets <- p:
	case <-t.ctx.Done():
	}
}

// send sends a message in a datagram. An error counts as a loss in the network.
func (t *Transport) send(msg []byte, to netip.AddrPort) { _, _ = t.write(msg, to) }

func (t *Transport) write(msg []byte, to netip.AddrPort) (time.Time, error) {
	var b []byte
	if ring := t.gate.ring(); ring != nil {
		b = wire.SealDatagram(wire.Envelope(wire.ModeSealed), ring, msg)
	} else {
		b = append(wire.Envelope(wire.ModePlain), msg...)
	}
	_, err := t.udp.WriteToUDPAddrPort(b, to)
	return time.Now(), err
}

// pause waits a little after an error of a socket, so that a lasting one does
// not spin, and reports whether to go on.
func (t *Transport) pause(err error) bool {
	if errors.Is(err, net.ErrClosed) {
		return false
	}
	select {
	case <-time.After(50 * time.Millisecond):
		return true
	case <-t.ctx.Done():
		return false
	}
}

// FinalAdvertiseAddr implements memberlist.Transport: the address was chosen
// long before.
func (t *Transport) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return nil, 0, fmt.Errorf("advertise address: %w", err)
	}
	return addr.AsSlice(), port, nil
}

// WriteTo implements memberlist.Transport.
func (t *Transport) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, err
	}
	return t.write(wire.TrimChecksum(b), to)
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (t *Transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return t.WriteTo(b, a.Addr)
}

// DialTimeout implements memberlist.Transport.
func (t *Transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport. The name may be
// that of an attempt, which then learns how it went.
func (t *Transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	conn, err := t.sockets.DialTCP(t.ctx, t.local.Addr(), a.Addr, timeout)
	t.mu.Lock()
	defer t.mu.Unlock()
	try := t.dials[a.Name]
	if err != nil {
		if try != nil {
			try.err = err
		}
		return nil, err
	}
	s := &stream{Conn: conn, transport: t, room: t.memberRoom, try: try}
	if try != nil {
		try.local = tcpAddrPort(conn.LocalAddr())
	}
	t.open[s] = struct{}{} // not counted against the limits: this one is ours
	return s, nil
}

// speaksOld reports whether flanneld 0.1 is at an endpoint that closes our
// streams without a message. It answers a ping of its own format. Where it has
// a cluster key, it answers with an error.
func (t *Transport) speaksOld(at netip.AddrPort) bool {
	conn, err := t.sockets.DialTCP(t.ctx, t.local.Addr(), at.String(), streamTimeout)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(streamTimeout))
	b := wire.EncodeOldPing()
	if _, err := conn.Write(b); err != nil {
		return false
	}
	_, err = io.ReadFull(conn, b[:1])
	return err == nil && (b[0] == wire.TypeAck || b[0] == wire.TypeError || b[0] == wire.TypeEncrypted)
}

// PacketCh implements memberlist.Transport.
func (t *Transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh implements memberlist.Transport.
func (t *Transport) StreamCh() <-chan net.Conn { return t.streams }

// Shutdown implements memberlist.Transport: it closes both sockets and all
// streams, and ends dials under way.
func (t *Transport) Shutdown() error {
	t.cancel()
	_ = t.tcp.Close()
	_ = t.udp.Close()
	t.mu.Lock()
	open := make([]*stream, 0, len(t.open))
	for s := range t.open {
		open = append(open, s)
	}
	t.mu.Unlock()
	for _, s := range open {
		_ = s.Close()
	}
	t.loops.Wait()
	return nil
}
