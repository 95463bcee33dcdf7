package peers

import (
	"errors"
	"net"
	"net/netip"
)

// Limits on what strangers can make this node hold before they have shown the cluster key.
const (
	maxStreams        = 128     // at once; memberlist's own limit on push/pulls
	maxStreamsPerHost = 16      // of these
	maxStreamBytes    = 8 << 20 // taken from one stream: node tables of a network of several thousand nodes
	rememberedStreams = 256
)

// admit counts a stream, or returns nil when there are too many.
func (t *transport) admit(conn net.Conn) *stream {
	from := tcpAddrPort(conn.RemoteAddr())
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.incoming >= maxStreams || t.perHost[from.Addr()] >= maxStreamsPerHost || t.ctx.Err() != nil {
		t.refused++
		return nil
	}
	if len(t.accepted) < rememberedStreams {
		t.accepted = append(t.accepted, from)
	} else {
		copy(t.accepted, t.accepted[1:])
		t.accepted[rememberedStreams-1] = from
	}
	s := &stream{Conn: conn, transport: t, host: from.Addr(), left: maxStreamBytes}
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
func (t *transport) overLimit() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refused
}

// isOwnStream reports whether a stream that came in lately has this other end: then we dialled ourselves.
func (t *transport) isOwnStream(local netip.AddrPort) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, from := range t.accepted {
		if from == local {
			return true
		}
	}
	return false
}

// attempt is how dialling one address went.
type attempt struct {
	err   error          // of the dial
	local netip.AddrPort // our end; zero: no connection
}

// watch names a dial to come; the name is to be given to memberlist as the node's.
func (t *transport) watch(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dials[name] = &attempt{}
}

// unwatch returns how it went.
func (t *transport) unwatch(name string) attempt {
	t.mu.Lock()
	defer t.mu.Unlock()
	try := t.dials[name]
	delete(t.dials, name)
	return *try
}

// stream is a TCP connection that is counted, and ends after maxStreamBytes.
type stream struct {
	net.Conn
	transport *transport
	host      netip.Addr // of one that came in; zero for our own
	left      int64      // of what may still be read; the reader's
}

var errStreamTooLong = errors.New("more than a node has to say")

func (s *stream) Read(p []byte) (int, error) {
	if s.left <= 0 {
		return 0, errStreamTooLong
	}
	if int64(len(p)) > s.left {
		p = p[:s.left]
	}
	n, err := s.Conn.Read(p)
	s.left -= int64(n)
	return n, err
}

// Close may be called more than once, and by Shutdown while the stream is in use.
func (s *stream) Close() error {
	t := s.transport
	t.mu.Lock()
	if _, ok := t.open[s]; ok {
		delete(t.open, s)
		if s.host.IsValid() {
			t.incoming--
			if t.perHost[s.host]--; t.perHost[s.host] == 0 {
				delete(t.perHost, s.host)
			}
		}
	}
	t.mu.Unlock()
	return s.Conn.Close()
}
