// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package attack

import (
	"bytes"
	"compress/lzw"
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// Message types of memberlist v0.7.0 (net.go). A message is one byte of type
// and a MessagePack map, unless its comment says otherwise.
const (
	typePing     = 0
	typeIndirect = 1
	typeAck      = 2
	typeSuspect  = 3
	typeAlive    = 4
	typeDead     = 5
	typePushPull = 6
	typeCompound = 7 // count, lengths, messages
	typeUser     = 8 // the application's bytes
	typeCompress = 9
	typeLabel    = 244 // length, label, mode, and then a message
	typeQuestion = 200 // of flanneld: nonce, node ID, zeros
	typeProof    = 201 // of flanneld: the signed answer
)

// alive announces a member.
type alive struct {
	Incarnation uint32
	Node        string
	Addr        []byte
	Port        uint16
	Meta        []byte
	Vsn         []uint8
}

// accusation is a suspect or a dead message.
type accusation struct {
	Incarnation uint32
	Node        string
	From        string
}

// ack answers a ping.
type ack struct {
	SeqNo   uint32
	Payload []byte
}

// pushPullHeader precedes the members of a push/pull.
type pushPullHeader struct {
	Nodes        int
	UserStateLen int
	Join         bool
}

// userHeader precedes a user message on a stream.
type userHeader struct {
	UserMsgLen int
}

// memberState is one member in a push/pull. State: 0 alive, 1 suspect, 2 dead,
// 3 left.
type memberState struct {
	Name        string
	Addr        []byte
	Port        uint16
	Meta        []byte
	Incarnation uint32
	State       int
	Vsn         []uint8
}

// protocolVersions are the versions that memberlist v0.7.0 announces.
var protocolVersions = []uint8{1, 5, 2, 0, 0, 0}

// message encodes one message.
func message(kind byte, body any) []byte {
	b := bytes.NewBuffer([]byte{kind})
	if err := codec.NewEncoder(b, &codec.MsgpackHandle{}).Encode(body); err != nil {
		panic(fmt.Sprintf("encode %T: %v", body, err)) // of types of this file only
	}
	return b.Bytes()
}

// aliveMessage announces a member at an endpoint.
func aliveMessage(name string, at netip.AddrPort, incarnation uint32, meta []byte) []byte {
	return message(typeAlive, alive{incarnation, name, at.Addr().AsSlice(), at.Port(), meta, protocolVersions})
}

// compound puts up to 255 messages into one.
func compound(messages ...[]byte) []byte {
	b := []byte{typeCompound, byte(len(messages))}
	for _, m := range messages {
		b = binary.BigEndian.AppendUint16(b, uint16(len(m)))
	}
	for _, m := range messages {
		b = append(b, m...)
	}
	return b
}

// compressed packs a message as memberlist does (LZW, 8 bits, least significant
// bit first).
func compressed(msg []byte) []byte {
	var packed bytes.Buffer
	w := lzw.NewWriter(&packed, lzw.LSB, 8)
	_, _ = w.Write(msg) // a bytes.Buffer takes everything
	_ = w.Close()
	return message(typeCompress, struct {
		Algo uint8
		Buf  []byte
	}{0, packed.Bytes()})
}

// Modes of the envelope.
const (
	modePlain  = 0
	modeSealed = 1
)

// envelope begins a datagram or one direction of a stream.
func envelope(mode byte) []byte {
	b := append([]byte{typeLabel, byte(len(label))}, label...)
	return append(b, mode)
}

// datagram is a message as it travels in one.
func datagram(msg []byte) []byte { return append(envelope(modePlain), msg...) }

// frame is the one message of a stream's direction.
func frame(msg []byte) []byte {
	return append(binary.BigEndian.AppendUint32(envelope(modePlain), uint32(len(msg))), msg...)
}

// pushPull encodes a whole push/pull: members, then the user state.
func pushPull(join bool, members []memberState, state []byte) []byte {
	b := bytes.NewBuffer([]byte{typePushPull})
	enc := codec.NewEncoder(b, &codec.MsgpackHandle{})
	parts := []any{pushPullHeader{len(members), len(state), join}}
	for _, m := range members {
		parts = append(parts, m)
	}
	for _, part := range parts {
		if err := enc.Encode(part); err != nil {
			panic(fmt.Sprintf("encode %T: %v", part, err))
		}
	}
	return append(b.Bytes(), state...)
}

// reply is what a node says in a push/pull.
type reply struct {
	members []memberState
	state   []byte
}

// parsePushPull takes a node's side of a push/pull apart; the label is gone.
func parsePushPull(b []byte) (reply, error) {
	if len(b) == 0 || b[0] != typePushPull {
		return reply{}, fmt.Errorf("no push/pull: %.60q", b)
	}
	rest := bytes.NewReader(b[1:])
	dec := codec.NewDecoder(rest, &codec.MsgpackHandle{})
	var h pushPullHeader
	if err := dec.Decode(&h); err != nil {
		return reply{}, err
	}
	r := reply{members: make([]memberState, h.Nodes)}
	for i := range r.members {
		if err := dec.Decode(&r.members[i]); err != nil {
			return reply{}, err
		}
	}
	if h.UserStateLen > rest.Len() {
		return reply{}, fmt.Errorf("state of %d bytes announced, %d came", h.UserStateLen, rest.Len())
	}
	r.state = b[len(b)-rest.Len():]
	return r, nil
}

// addrOf is where a member's gossip is.
func addrOf(m memberState) netip.AddrPort {
	a, _ := netip.AddrFromSlice(m.Addr)
	return netip.AddrPortFrom(a.Unmap(), m.Port)
}
