package peers

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"flanneld/peers/internal/record"
)

// What travels as a memberlist user message, big endian:
//
//	0   1  kind: rumour or direct
//
// A rumour is a message of the core's for everyone. A direct one is from one node to another:
//
//	1   16 node ID of the sender
//	17  6  its gossip endpoint, IPv4 address and port
//	23  4  length of the message
//	27  n  the message, a core's
//	..  .. padding
//
// The sender's endpoint is there for newcomers: whom they ask may be asked before gossip has told it of them, and has to answer all the same.
const (
	frameRumour = 0
	frameDirect = 1

	directHeader = 1 + 16 + 6 + 4
)

// frame is a user message taken apart.
type frame struct {
	from     record.NodeID  // zero: a rumour
	endpoint netip.AddrPort // of the sender of a direct one, as it says
	msg      []byte
	size     int // of the whole
}

var errFrame = errors.New("malformed frame")

func encodeRumour(msg []byte) []byte { return append([]byte{frameRumour}, msg...) }

// encodeDirect pads the frame to atLeast bytes.
func encodeDirect(from record.NodeID, endpoint netip.AddrPort, msg []byte, atLeast int) []byte {
	b := make([]byte, 0, max(directHeader+len(msg), atLeast))
	b = append(b, frameDirect)
	b = append(b, from[:]...)
	addr := endpoint.Addr().As4()
	b = append(b, addr[:]...)
	b = binary.BigEndian.AppendUint16(b, endpoint.Port())
	b = binary.BigEndian.AppendUint32(b, uint32(len(msg)))
	b = append(b, msg...)
	return b[:cap(b)]
}

// parseFrame takes a frame apart; the message is part of b.
func parseFrame(b []byte) (frame, error) {
	if len(b) > 0 && b[0] == frameRumour {
		return frame{msg: b[1:], size: len(b)}, nil
	}
	if len(b) < directHeader || b[0] != frameDirect {
		return frame{}, errFrame
	}
	n := binary.BigEndian.Uint32(b[23:])
	if int64(n) > int64(len(b)-directHeader) {
		return frame{}, errFrame
	}
	f := frame{
		from:     record.NodeID(b[1:17]),
		endpoint: netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[17:21])), binary.BigEndian.Uint16(b[21:])),
		msg:      b[directHeader : directHeader+n],
		size:     len(b),
	}
	if f.from.IsZero() {
		return frame{}, errFrame
	}
	return f, nil
}

// Limits of return paths.
const (
	maxReturnPaths = 1024
	returnPathFor  = 10 * time.Second
	// newcomerFrame is what a newcomer pads its frames to, in bytes: no answer is larger than what it answers.
	newcomerFrame = 512
)

// returnPath leads to a node that wrote to us before gossip told us of it. The endpoint is only what the node says of itself, so
// no more bytes go there than came.
type returnPath struct {
	endpoint netip.AddrPort
	budget   int
	until    time.Time
}

// returnPaths belong to the core's goroutine.
type returnPaths struct {
	ours  netip.AddrPort
	paths map[record.NodeID]returnPath
}

func newReturnPaths(ours netip.AddrPort) *returnPaths {
	return &returnPaths{ours, map[record.NodeID]returnPath{}}
}

// learn notes where a frame of a node that is no member says it came from.
func (r *returnPaths) learn(f frame, now time.Time) {
	if !usableEndpoint(f.endpoint, r.ours) || f.endpoint == r.ours {
		return
	}
	if len(r.paths) >= maxReturnPaths {
		for id, p := range r.paths {
			if now.After(p.until) {
				delete(r.paths, id)
			}
		}
		if len(r.paths) >= maxReturnPaths {
			return
		}
	}
	p := r.paths[f.from]
	if p.endpoint != f.endpoint || now.After(p.until) {
		p = returnPath{endpoint: f.endpoint}
	}
	p.budget += f.size
	p.until = now.Add(returnPathFor)
	r.paths[f.from] = p
}

// take returns where to send size bytes to a node, if they may be sent.
func (r *returnPaths) take(to record.NodeID, size int, now time.Time) (netip.AddrPort, bool) {
	p, ok := r.paths[to]
	if !ok || now.After(p.until) || size > p.budget {
		return netip.AddrPort{}, false
	}
	p.budget -= size
	r.paths[to] = p
	return p.endpoint, true
}
