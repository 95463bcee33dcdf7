// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"flanneld/peers/internal/gossip/wire"
)

// Limits on what strangers can make this node hold.
const (
	maxStreams        = 128     // at once; memberlist's own limit on push/pulls
	maxStreamsPerHost = 16      // of these
	maxStrangers      = 64      // of these, from addresses of no member
	maxStreamBytes    = 8 << 20 // taken from one stream: node tables of a network of several thousand nodes
	rememberedStreams = 256

	// Bytes of all streams that are under way: of strangers; of members, and
	// streams that this node has dialed.
	strangerBytes = 4 << 20
	memberBytes   = 24 << 20
	firstBuffer   = 16 << 10 // and doubled as the bytes come in
)

// countStream counts a stream, or returns nil when there are too many.
func (t *Transport) countStream(conn net.Conn) *stream {
	from := tcpAddrPort(conn.RemoteAddr())
	known := t.gate != nil && t.gate.knows(from.Addr())
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.incoming >= maxStreams || t.perHost[from.Addr()] >= maxStreamsPerHost || t.ctx.Err() != nil ||
		!known && t.strangers >= maxStrangers {
		t.refused++
		return nil
	}
	if len(t.accepted) < rememberedStreams {
		t.accepted = append(t.accepted, from)
	} else {
		copy(t.accepted, t.accepted[1:])
		t.accepted[rememberedStreams-1] = from
	}
	s := &stream{Conn: conn, transport: t, host: from.Addr(), stranger: !known, room: t.strangerRoom}
	if known {
		s.room = t.memberRoom
	} else {
		t.strangers++
	}
	t.open[s] = struct{}{}
	t.incoming++
	t.perHost[s.host]++
	return s
}

func tcpAddrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// overLimit is how many streams were not taken because of the limits.
func (t *Transport) overLimit() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refused
}

// isOwnStream reports whether a stream that came in lately has this other end:
// then we dialed ourselves.
func (t *Transport) isOwnStream(local netip.AddrPort) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, from := range t.accepted {
		if from == local {
			return true
		}
	}
	return false
}

// attempt is the result of dialing one address.
type attempt struct {
	err   error          // of the dial
	said  error          // why what the other side said was refused
	local netip.AddrPort // our end; zero: no connection
}

// watch names a dial to come; the name is to be given to memberlist as the
// node's.
func (t *Transport) watch(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dials[name] = &attempt{}
}

// unwatch returns how it went.
func (t *Transport) unwatch(name string) attempt {
	t.mu.Lock()
	defer t.mu.Unlock()
	try := t.dials[name]
	delete(t.dials, name)
	return *try
}

// connected reports whether a watched dial under way has got its connection.
func (t *Transport) connected() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, try := range t.dials {
		if try.local.IsValid() {
			return true
		}
	}
	return false
}

// stream is a TCP connection that is counted. Each side sends one frame;
// memberlist reads what the gate has made of the other side's.
type stream struct {
	net.Conn
	transport *Transport
	host      netip.Addr // of one that came in; zero for our own
	stranger  bool       // it came from an address of no member
	room      room       // what its bytes are taken from

	said error         // why nothing can be read
	in   *bytes.Reader // first piece of what the other side said, as far as it was not read
	tail *bytes.Reader // second piece
	salt []byte        // ours, of a sealed one
	peer []byte        // theirs
	try  *attempt      // of a join: learns why nothing can be read

	mu    sync.Mutex
	taken int // bytes of room
}

var errStreamTooLong = errors.New("longer than any state")

// dialed reports whether this node has dialed.
func (s *stream) dialed() bool { return !s.host.IsValid() }

// Read gives what the gate has let through. Of a stream that we have dialed it
// reads the answer first.
func (s *stream) Read(p []byte) (int, error) {
	if s.in == nil && s.said == nil && s.dialed() {
		s.said = s.receive()
		if s.try != nil && s.said != nil {
			s.transport.mu.Lock()
			s.try.said = s.said
			s.transport.mu.Unlock()
		}
	}
	if s.said != nil {
		return 0, s.said
	}
	if s.in != nil && s.in.Len() > 0 {
		return s.in.Read(p)
	}
	if s.tail != nil && s.tail.Len() > 0 {
		return s.tail.Read(p)
	}
	return 0, io.EOF
}

// receive reads the other side's frame, and the gate decides about it.
func (s *stream) receive() error {
	b, err := s.readFrame()
	if err != nil {
		return err
	}
	from := s.host
	if s.dialed() {
		from = tcpAddrPort(s.Conn.RemoteAddr()).Addr()
	}
	head, tail, err := s.transport.gate.streamMessage(b, s.dialed(), from)
	if err != nil {
		return err
	}
	s.in, s.tail = bytes.NewReader(head), bytes.NewReader(tail)
	return nil
}

// readFrame reads envelope and frame. Room is taken for what has come in, not
// for what is announced.
func (s *stream) readFrame() ([]byte, error) {
	opener, err := s.readEnvelope()
	if err != nil {
		return nil, err
	}
	var length [4]byte
	if _, err := io.ReadFull(s.Conn, length[:]); err != nil {
		return nil, err
	}
	n, err := frameLength(length[:])
	if err != nil {
		return nil, err
	}
	if s.stranger && n > strangerBytes {
		return nil, errNoRoom // there never will be
	}
	var b, piece []byte
	if opener != nil {
		piece = make([]byte, wire.PieceSize+wire.TagSize)
	}
	for len(b) < int(n) {
		if b, err = s.grow(b, int(n)); err != nil {
			return nil, err
		}
		if opener == nil {
			at := len(b)
			b = b[:cap(b)]
			if _, err := io.ReadFull(s.Conn, b[at:]); err != nil {
				return nil, err
			}
			continue
		}
		sealed := piece[:min(wire.PieceSize, int(n)-len(b))+wire.TagSize]
		if _, err := io.ReadFull(s.Conn, sealed); err != nil {
			return nil, err
		}
		if b, err = opener.Open(b, sealed, n); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// grow makes room behind b for another piece of n bytes in all.
func (s *stream) grow(b []byte, n int) ([]byte, error) {
	if cap(b)-len(b) >= min(wire.PieceSize, n-len(b)) {
		return b, nil
	}
	size := min(max(2*cap(b), firstBuffer), n)
	if s.stranger && !s.transport.gate.maySend(size-cap(b), s.host) || !s.room.take(size-cap(b)) {
		return nil, errNoRoom
	}
	s.mu.Lock()
	s.taken += size - cap(b)
	s.mu.Unlock()
	grown := make([]byte, len(b), size)
	copy(grown, b)
	return grown, nil
}

// readEnvelope reads the other side's envelope. A sealed one gives the opener
// of what follows.
func (s *stream) readEnvelope() (*wire.Opener, error) {
	b := make([]byte, wire.EnvelopeSize)
	if n, err := io.ReadFull(s.Conn, b); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			if label := wire.CheckLabel(b[:n]); label != nil && n > 0 {
				return nil, label
			}
		}
		return nil, err
	}
	if err := wire.CheckLabel(b); err != nil {
		return nil, err
	}
	ring := s.transport.gate.ring()
	switch mode := b[wire.EnvelopeSize-1]; {
	case mode == wire.ModePlain && ring == nil:
		return nil, nil
	case mode == wire.ModePlain:
		return nil, errNoKeyThere
	case mode != wire.ModeSealed:
		return nil, wire.ErrForeign
	case ring == nil:
		return nil, errKeyThere
	}
	s.peer = make([]byte, wire.SaltSize)
	if _, err := io.ReadFull(s.Conn, s.peer); err != nil {
		return nil, err
	}
	if s.dialed() {
		return wire.NewOpener(ring, wire.ContextAnswer, s.peer, s.salt), nil
	}
	return wire.NewOpener(ring, wire.ContextCaller, s.peer, nil), nil
}

// Write sends one frame; memberlist writes a message at once.
func (s *stream) Write(p []byte) (int, error) {
	b := s.newEnvelope()
	b = binary.BigEndian.AppendUint32(b, uint32(len(p)))
	if ring := s.transport.gate.ring(); ring != nil {
		context, bound := wire.ContextCaller, []byte(nil)
		if !s.dialed() {
			context, bound = wire.ContextAnswer, s.peer
		}
		b = wire.NewSealer(ring, context, s.salt, bound).Seal(b, p)
	} else {
		b = append(b, p...)
	}
	if _, err := s.Conn.Write(b); err != nil {
		return 0, err
	}
	return len(p), nil
}

// newEnvelope returns our envelope, with a new salt where gossip is sealed:
// each frame has an envelope and a key of its own.
func (s *stream) newEnvelope() []byte {
	if s.transport.gate.ring() == nil {
		return wire.Envelope(wire.ModePlain)
	}
	s.salt = wire.NewSalt()
	return append(wire.Envelope(wire.ModeSealed), s.salt...)
}

// explain sends our format to the other side when we do not understand its
// bytes.
func (s *stream) explain() {
	_ = s.Conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = s.Write(wire.EncodeError("refused")) // a courtesy
}

// Close may be called more than once, and by Shutdown while the stream is in
// use.
func (s *stream) Close() error {
	t := s.transport
	t.mu.Lock()
	if _, ok := t.open[s]; ok {
		delete(t.open, s)
		if s.host.IsValid() {
			t.incoming--
			if s.stranger {
				t.strangers--
			}
			if t.perHost[s.host]--; t.perHost[s.host] == 0 {
				delete(t.perHost, s.host)
			}
		}
	}
	t.mu.Unlock()
	s.mu.Lock()
	s.room.give(s.taken)
	s.taken = 0
	s.mu.Unlock()
	return s.Conn.Close()
}
