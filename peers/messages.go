package peers

import (
	"encoding/binary"
	"math"
	"net/netip"
)

// Types of memberlist's messages (v0.7.0, net.go), and of ours. A type that is
// not here is refused. No flanneld sends compressed (9), encrypted (10) or
// checksummed (12) messages, and errors (13) go by streams of memberlist's own.
const (
	typePing     = 0
	typeIndirect = 1
	typeAck      = 2
	typeSuspect  = 3
	typeAlive    = 4
	typeDead     = 5
	typePushPull = 6
	typeCompound = 7
	typeUser     = 8
	typePacked   = 9
	typeSealed   = 10
	typeNack     = 11
	typeChecksum = 12
	typeError    = 13
	typeQuestion = 200
	typeProof    = 201
)

// Bounds of what memberlist's messages hold.
const (
	maxNameBytes = 64 // of a member name: 26 of the ID, a dash, a number
	// maxIncarnation leaves room to refute. A member answers an accusation
	// with a greater one, and could not if that were the greatest there is.
	maxIncarnation = 1 << 30
	maxVsn         = 6
	maxErrorText   = 512
	maxAckPayload  = 0
	checksumSize   = 5 // bytes of type and checksum in front of a message
)

// pingMessage asks a member by its name whether it is there. Source is where
// the answer goes; invalid: back where the ping came from.
type pingMessage struct {
	seq    uint32
	node   string
	source netip.AddrPort
	by     string // name of the member that asks
}

// indirectMessage asks a member to ping another one.
type indirectMessage struct {
	pingMessage
	target netip.AddrPort
	nack   bool
}

// accusation is what a suspect or a dead message holds.
type accusation struct {
	incarnation uint32
	node, from  string
}

// memberMessage is an alive message, or a member in a push/pull.
type memberMessage struct {
	incarnation uint32
	node        string
	at          netip.AddrPort
	meta        []byte
	vsn         []byte
	state       uint8 // in a push/pull; memberlist.NodeStateType
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

func readPing(b []byte) (m pingMessage, ok bool) {
	f, rest, ok := readMap(b)
	if !ok || len(rest) > 0 {
		return m, false
	}
	seq, ok1 := f.number("SeqNo", math.MaxUint32)
	node, ok2 := readName(&f, "Node")
	by, ok3 := readName(&f, "SourceNode")
	source, ok4 := readEndpoint(&f, "SourceAddr", "SourcePort")
	return pingMessage{uint32(seq), node, source, by}, ok1 && ok2 && ok3 && ok4 && node != ""
}

func readIndirect(b []byte) (m indirectMessage, ok bool) {
	f, rest, ok := readMap(b)
	if !ok || len(rest) > 0 {
		return m, false
	}
	seq, ok1 := f.number("SeqNo", math.MaxUint32)
	node, ok2 := readName(&f, "Node")
	by, ok3 := readName(&f, "SourceNode")
	source, ok4 := readEndpoint(&f, "SourceAddr", "SourcePort")
	target, ok5 := readEndpoint(&f, "Target", "Port")
	nack, ok6 := f.number("Nack", 1)
	m = indirectMessage{pingMessage{uint32(seq), node, source, by}, target, nack == 1}
	return m, ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && node != "" && target.IsValid()
}

func readAccusation(b []byte) (m accusation, ok bool) {
	f, rest, ok := readMap(b)
	if !ok || len(rest) > 0 {
		return m, false
	}
	incarnation, ok1 := f.number("Incarnation", maxIncarnation)
	node, ok2 := readName(&f, "Node")
	from, ok3 := readName(&f, "From")
	return accusation{uint32(incarnation), node, from}, ok1 && ok2 && ok3 && node != ""
}

// readMember reads an alive message, or a member of a push/pull, and returns
// what follows it.
func readMember(b []byte, inState bool) (m memberMessage, rest []byte, ok bool) {
	f, rest, ok := readMap(b)
	if !ok {
		return m, nil, false
	}
	field := "Node"
	if inState {
		field = "Name"
	}
	node, ok1 := readName(&f, field)
	incarnation, ok2 := f.number("Incarnation", maxIncarnation)
	at, ok3 := readEndpoint(&f, "Addr", "Port")
	meta, ok4 := f.bytes("Meta", maxMetaSize)
	vsn, ok5 := f.bytes("Vsn", maxVsn)
	state, ok6 := f.number("State", 3)
	m = memberMessage{uint32(incarnation), node, at, meta, vsn, uint8(state)}
	return m, rest, ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && len(vsn) == maxVsn && at.IsValid()
}

func (m pingMessage) encode() []byte {
	b := appendMap([]byte{typePing}, 5)
	return m.appendFields(b)
}

func (m pingMessage) appendFields(b []byte) []byte {
	b = appendNumber(appendText(b, "SeqNo"), uint64(m.seq))
	b = appendText(appendText(b, "Node"), m.node)
	b = appendText(appendText(b, "SourceAddr"), addrBytes(m.source))
	b = appendNumber(appendText(b, "SourcePort"), uint64(m.source.Port()))
	return appendText(appendText(b, "SourceNode"), m.by)
}

func addrBytes(at netip.AddrPort) []byte {
	if !at.IsValid() {
		return nil
	}
	return at.Addr().AsSlice()
}

func (m indirectMessage) encode() []byte {
	b := m.appendFields(appendMap([]byte{typeIndirect}, 8))
	b = appendText(appendText(b, "Target"), addrBytes(m.target))
	b = appendNumber(appendText(b, "Port"), uint64(m.target.Port()))
	return appendBool(appendText(b, "Nack"), m.nack)
}

func (m accusation) encode(kind byte) []byte {
	b := appendMap([]byte{kind}, 3)
	b = appendNumber(appendText(b, "Incarnation"), uint64(m.incarnation))
	b = appendText(appendText(b, "Node"), m.node)
	return appendText(appendText(b, "From"), m.from)
}

// encode makes an alive message.
func (m memberMessage) encode() []byte {
	return m.appendFields(appendText(appendMap([]byte{typeAlive}, 6), "Node"))
}

// appendState appends a member of a push/pull.
func (m memberMessage) appendState(b []byte) []byte {
	b = m.appendFields(appendText(appendMap(b, 7), "Name"))
	return appendNumber(appendText(b, "State"), uint64(m.state))
}

func (m memberMessage) appendFields(b []byte) []byte {
	b = appendText(b, m.node)
	b = appendText(appendText(b, "Addr"), addrBytes(m.at))
	b = appendNumber(appendText(b, "Port"), uint64(m.at.Port()))
	b = appendText(appendText(b, "Meta"), m.meta)
	b = appendNumber(appendText(b, "Incarnation"), uint64(m.incarnation))
	return appendText(appendText(b, "Vsn"), m.vsn)
}

// readAck reads an ack or a nack: a number, and for an ack a payload that we
// never send.
func readAck(b []byte) (seq uint32, ok bool) {
	f, rest, ok := readMap(b)
	if !ok || len(rest) > 0 {
		return 0, false
	}
	n, ok1 := f.number("SeqNo", math.MaxUint32)
	_, ok2 := f.bytes("Payload", maxAckPayload)
	return uint32(n), ok1 && ok2
}

func encodeAck(kind byte, seq uint32) []byte {
	return appendNumber(appendText(appendMap([]byte{kind}, 1), "SeqNo"), uint64(seq))
}

// splitCompound takes a compound message apart; it does not nest.
func splitCompound(b []byte) ([][]byte, bool) {
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

// exchange is one side of a push/pull.
type exchange struct {
	join    bool
	members []memberMessage
	state   []byte // part of what was read
}

// minMemberBytes is less than any member takes in a push/pull: field names and
// a signed meta alone take more.
const minMemberBytes = 128

// readExchange reads one side of a push/pull, all of it.
func readExchange(b []byte) (x exchange, ok bool) {
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
	x.join, x.members = join == 1, make([]memberMessage, n)
	for i := range x.members {
		if x.members[i], b, ok = readMember(b, true); !ok {
			return x, false
		}
	}
	x.state = b
	return x, uint64(len(b)) == size
}

// encode returns all of the exchange but the state at its end.
func (x exchange) encode(stateLen int) []byte {
	b := appendMap([]byte{typePushPull}, 3)
	b = appendNumber(appendText(b, "Nodes"), uint64(len(x.members)))
	b = appendNumber(appendText(b, "UserStateLen"), uint64(stateLen))
	b = appendBool(appendText(b, "Join"), x.join)
	for _, m := range x.members {
		b = m.appendState(b)
	}
	return b
}

// readUser reads a user message of a stream: a length, and that many bytes.
func readUser(b []byte) (msg []byte, ok bool) {
	f, b, ok := readMap(b)
	if !ok {
		return nil, false
	}
	n, ok := f.number("UserMsgLen", uint64(len(b)))
	return b, ok && n == uint64(len(b)) && n > 0
}

// encodeUser returns all of a stream's user message but the bytes at its end.
func encodeUser(n int) []byte {
	return appendNumber(appendText(appendMap([]byte{typeUser}, 1), "UserMsgLen"), uint64(n))
}

// readError reads the reason for which the other side ended a stream.
func readError(b []byte) (text string, ok bool) {
	f, rest, ok := readMap(b)
	if !ok || len(rest) > 0 {
		return "", false
	}
	t, ok := f.bytes("Error", maxErrorText)
	return string(t), ok
}

func encodeError(text string) []byte {
	return appendText(appendText(appendMap([]byte{typeError}, 1), "Error"), text)
}
