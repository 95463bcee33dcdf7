// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"math"
	"net/netip"
)

// Types of memberlist's messages (v0.7.0, net.go), and of ours. A type that is
// not here is refused. No flanneld sends compressed (9), encrypted (10) or
// checksummed (12) messages, and errors (13) go by streams of memberlist's own.
const (
	TypePing       = 0
	TypeIndirect   = 1
	TypeAck        = 2
	TypeSuspect    = 3
	TypeAlive      = 4
	TypeDead       = 5
	TypePushPull   = 6
	TypeCompound   = 7
	TypeUser       = 8
	TypeCompressed = 9
	TypeEncrypted  = 10
	TypeNack       = 11
	TypeChecksum   = 12
	TypeError      = 13
	TypeQuestion   = 200
	TypeProof      = 201
	TypeInquiry    = 202
	TypePart       = 203
)

// Bounds of what memberlist's messages hold.
const (
	maxNameBytes = 64 // of a member name: 26 of the ID, a dash, a number
	// MaxIncarnation leaves room to refute. A member answers an accusation
	// with a greater one, and could not if that were the greatest there is.
	MaxIncarnation = 1 << 30
	maxVsn         = 6
	maxErrorText   = 512
	maxAckPayload  = 0
	checksumSize   = 5 // bytes of type and checksum in front of a message
)

// Ping asks a member by its name whether it is there. Source is where
// the answer goes; invalid: back where the ping came from.
type Ping struct {
	Seq    uint32
	Node   string
	Source netip.AddrPort
	By     string // name of the member that asks
}

// IndirectPing asks a member to ping another one.
type IndirectPing struct {
	Ping
	Target netip.AddrPort
	Nack   bool // an answer is wanted also where there is none to pass on
}

// Accusation is what a suspect or a dead message holds.
type Accusation struct {
	Incarnation uint32
	Node, From  string // member names
}

// Member is an alive message, or a member in a push/pull.
type Member struct {
	Incarnation uint32
	Node        string         // member name
	At          netip.AddrPort // its gossip
	Meta        []byte         // see [Meta]
	Vsn         []byte         // memberlist's own versions
	State       uint8          // in a push/pull; memberlist.NodeStateType
}

func readName(f *fields, field string) (string, bool) {
	b, ok := f.bytes(field, maxNameBytes)
	return string(b), ok
}

// readEndpoint reads an address and a port; both missing is no endpoint.
func readEndpoint(f *fields, addr, port string) (netip.AddrPort, bool) {
	b, okAddr := f.bytes(addr, 16)
	n, okPort := f.number(port, math.MaxUint16)
	if !okAddr || !okPort {
		return netip.AddrPort{}, false
	}
	if len(b) == 0 {
		return netip.AddrPort{}, n == 0
	}
	a, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), ok && n != 0
}

// ReadPing reads a ping.
func ReadPing(b []byte) (m Ping, ok bool) {
	f, rest, ok := readMap(b)
	if !ok || len(rest) > 0 {
		return m, false
	}
	return readPing(&f)
}

// readPing reads the fields that both kinds of ping have.
func readPing(f *fields) (m Ping, ok bool) {
	seq, ok1 := f.number("SeqNo", math.MaxUint32)
	node, ok2 := readName(f, "Node")
	by, ok3 := readName(f, "SourceNode")
	source, ok4 := readEndpoint(f, "SourceAddr", "SourcePort")
	return Ping{uint32(seq), node, source, by}, ok1 && ok2 && ok3 && ok4 && node != ""
}

// ReadIndirect reads an indirect ping.
func ReadIndirect(b []byte) (m IndirectPing, ok bool) {
	f, rest, ok := readMap(b)
	if !ok || len(rest) > 0 {
		return m, false
	}
	ping, ok1 := readPing(&f)
	target, ok2 := readEndpoint(&f, "Target", "Port")
	nack, ok3 := f.number("Nack", 1)
	return IndirectPing{ping, target, nack == 1}, ok1 && ok2 && ok3 && target.IsValid()
}

// ReadAccusation reads a suspect or a dead message.
func ReadAccusation(b []byte) (m Accusation, ok bool) {
	f, rest, ok := readMap(b)
	if !ok || len(rest) > 0 {
		return m, false
	}
	incarnation, ok1 := f.number("Incarnation", MaxIncarnation)
	node, ok2 := readName(&f, "Node")
	from, ok3 := readName(&f, "From")
	return Accusation{uint32(incarnation), node, from}, ok1 && ok2 && ok3 && node != ""
}

// ReadMember reads an alive message, or a member of a push/pull, and returns
// what follows it.
func ReadMember(b []byte, inState bool) (m Member, rest []byte, ok bool) {
	f, rest, ok := readMap(b)
	if !ok {
		return m, nil, false
	}
	field := "Node"
	if inState {
		field = "Name"
	}
	node, ok1 := readName(&f, field)
	incarnation, ok2 := f.number("Incarnation", MaxIncarnation)
	at, ok3 := readEndpoint(&f, "Addr", "Port")
	meta, ok4 := f.bytes("Meta", maxMetaSize)
	vsn, ok5 := f.bytes("Vsn", maxVsn)
	state, ok6 := f.number("State", 3)
	m = Member{uint32(incarnation), node, at, meta, vsn, uint8(state)}
	return m, rest, ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && len(vsn) == maxVsn && at.IsValid()
}

// Encode makes a ping.
func (m Ping) Encode() []byte {
	b := appendMap([]byte{TypePing}, 5)
	return m.appendFields(b)
}

func (m Ping) appendFields(b []byte) []byte {
	b = appendNumber(appendText(b, "SeqNo"), uint64(m.Seq))
	b = appendText(appendText(b, "Node"), m.Node)
	b = appendText(appendText(b, "SourceAddr"), addrBytes(m.Source))
	b = appendNumber(appendText(b, "SourcePort"), uint64(m.Source.Port()))
	return appendText(appendText(b, "SourceNode"), m.By)
}

func addrBytes(at netip.AddrPort) []byte {
	if !at.IsValid() {
		return nil
	}
	return at.Addr().AsSlice()
}

// Encode makes an indirect ping.
func (m IndirectPing) Encode() []byte {
	b := m.appendFields(appendMap([]byte{TypeIndirect}, 8))
	b = appendText(appendText(b, "Target"), addrBytes(m.Target))
	b = appendNumber(appendText(b, "Port"), uint64(m.Target.Port()))
	return appendBool(appendText(b, "Nack"), m.Nack)
}

// Encode makes a message of kind [TypeSuspect] or [TypeDead].
func (m Accusation) Encode(kind byte) []byte {
	b := appendMap([]byte{kind}, 3)
	b = appendNumber(appendText(b, "Incarnation"), uint64(m.Incarnation))
	b = appendText(appendText(b, "Node"), m.Node)
	return appendText(appendText(b, "From"), m.From)
}

// Encode makes an alive message.
func (m Member) Encode() []byte {
	return m.appendFields(appendText(appendMap([]byte{TypeAlive}, 6), "Node"))
}

// appendState appends a member of a push/pull.
func (m Member) appendState(b []byte) []byte {
	b = m.appendFields(appendText(appendMap(b, 7), "Name"))
	return appendNumber(appendText(b, "State"), uint64(m.State))
}

func (m Member) appendFields(b []byte) []byte {
	b = appendText(b, m.Node)
	b = appendText(appendText(b, "Addr"), addrBytes(m.At))
	b = appendNumber(appendText(b, "Port"), uint64(m.At.Port()))
	b = appendText(appendText(b, "Meta"), m.Meta)
	b = appendNumber(appendText(b, "Incarnation"), uint64(m.Incarnation))
	return appendText(appendText(b, "Vsn"), m.Vsn)
}

// ReadAck reads an ack or a nack: a number, and for an ack a payload that we
// never send.
func ReadAck(b []byte) (seq uint32, ok bool) {
	f, rest, ok := readMap(b)
	if !ok || len(rest) > 0 {
		return 0, false
	}
	n, ok1 := f.number("SeqNo", math.MaxUint32)
	_, ok2 := f.bytes("Payload", maxAckPayload)
	return uint32(n), ok1 && ok2
}

// EncodeAck makes a message of kind [TypeAck] or [TypeNack].
func EncodeAck(kind byte, seq uint32) []byte {
	return appendNumber(appendText(appendMap([]byte{kind}, 1), "SeqNo"), uint64(seq))
}

// TrimChecksum removes memberlist's checksum from a message: UDP has one.
func TrimChecksum(b []byte) []byte {
	if len(b) > checksumSize && b[0] == TypeChecksum {
		return b[checksumSize:]
	}
	return b
}

// SplitCompound takes a compound message apart; it does not nest.
func SplitCompound(b []byte) ([][]byte, bool) {
	if len(b) < 1 || len(b) < 1+2*int(b[0]) {
		return nil, false
	}
	n := int(b[0])
	lengths, b := b[1:1+2*n], b[1+2*n:]
	parts := make([][]byte, 0, n)
	for i := range n {
		size := int(binary.BigEndian.Uint16(lengths[2*i:]))
		if size == 0 || size > len(b) {
			return nil, false
		}
		parts = append(parts, b[:size:size])
		b = b[size:]
	}
	return parts, len(b) == 0
}

// Exchange is one side of a push/pull.
type Exchange struct {
	Join    bool // a join, as opposed to the exchanges that follow from time to time
	Members []Member
	State   []byte // part of what was read
}

// minMemberBytes is less than any member takes in a push/pull: field names and
// a signed meta alone take more.
const minMemberBytes = 128

// ReadExchange reads one whole side of a push/pull. The state is part of b.
func ReadExchange(b []byte) (x Exchange, ok bool) {
	f, b, ok := readMap(b)
	if !ok {
		return x, false
	}
	n, ok1 := f.number("Nodes", uint64(len(b)/minMemberBytes))
	size, ok2 := f.number("UserStateLen", uint64(len(b)))
	join, ok3 := f.number("Join", 1)
	if !ok1 || !ok2 || !ok3 {
		return x, false
	}
	x.Join, x.Members = join == 1, make([]Member, n)
	for i := range x.Members {
		if x.Members[i], b, ok = ReadMember(b, true); !ok {
			return x, false
		}
	}
	x.State = b
	return x, uint64(len(b)) == size
}

// Encode returns the exchange without the state at its end, which has stateLen
// bytes.
func (x Exchange) Encode(stateLen int) []byte {
	b := appendMap([]byte{TypePushPull}, 3)
	b = appendNumber(appendText(b, "Nodes"), uint64(len(x.Members)))
	b = appendNumber(appendText(b, "UserStateLen"), uint64(stateLen))
	b = appendBool(appendText(b, "Join"), x.Join)
	for _, m := range x.Members {
		b = m.appendState(b)
	}
	return b
}

// ReadUser reads a user message of a stream: a length, and that many bytes.
func ReadUser(b []byte) (msg []byte, ok bool) {
	f, b, ok := readMap(b)
	if !ok {
		return nil, false
	}
	n, ok := f.number("UserMsgLen", uint64(len(b)))
	return b, ok && n == uint64(len(b)) && n > 0
}

// EncodeUser returns a stream's user message without the n bytes at its end.
func EncodeUser(n int) []byte {
	return appendNumber(appendText(appendMap([]byte{TypeUser}, 1), "UserMsgLen"), uint64(n))
}

// ReadError reads the reason for which the other side ended a stream.
func ReadError(b []byte) (text string, ok bool) {
	f, rest, ok := readMap(b)
	if !ok || len(rest) > 0 {
		return "", false
	}
	t, ok := f.bytes("Error", maxErrorText)
	return string(t), ok
}

// EncodeError makes the reason for which this side ends a stream.
func EncodeError(text string) []byte {
	return appendText(appendText(appendMap([]byte{TypeError}, 1), "Error"), text)
}
