// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package attack

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// proofSize is the length of a question, and of the proof that answers it.
const proofSize = 101 + ed25519.SignatureSize

// ping is memberlist's question whether a member lives.
type ping struct {
	SeqNo      uint32
	Node       string
	SourceAddr []byte
	SourcePort uint16
	SourceNode string
}

// Serve answers what proves that the stranger is at its address: questions with
// its own key, and pings. It returns when the socket is closed.
func (s *Stranger) Serve() {
	buf := make([]byte, 64<<10)
	skip := len(envelope(modePlain))
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil || n <= skip:
			continue
		}
		if answer := s.answer(buf[skip:n]); answer != nil {
			_, _ = s.conn.WriteToUDPAddrPort(datagram(answer), from)
		}
	}
}

func (s *Stranger) answer(msg []byte) []byte {
	switch {
	case msg[0] == typeQuestion && len(msg) >= proofSize:
		return s.proof(msg[1:17])
	case msg[0] == typePing:
		var p ping
		if codec.NewDecoderBytes(msg[1:], &codec.MsgpackHandle{}).Decode(&p) == nil {
			return message(typeAck, ack{SeqNo: p.SeqNo})
		}
	}
	return nil
}

// proof answers a question for the stranger's own identity.
func (s *Stranger) proof(nonce []byte) []byte {
	b := append([]byte{typeProof}, nonce...)
	b = append(b, s.public()...)
	b = binary.BigEndian.AppendUint64(b, strangerStart)
	b = binary.BigEndian.AppendUint64(b, strangerInstance)
	b = append(append(b, byte(len(s.addr.AsSlice()))), make([]byte, 16)...)
	copy(b[66:82], s.addr.AsSlice())
	b = binary.BigEndian.AppendUint16(b, gossipPort)
	b = append(b, make([]byte, 16+1)...) // in no network, neither settled nor looking
	return append(b, statement(s.Key, "proof of life", b)...)
}

// The stranger's own start and instance.
const (
	strangerStart    = 1
	strangerInstance = 7
)

func (s *Stranger) public() ed25519.PublicKey { return s.Key.Public().(ed25519.PublicKey) }

// id is the node ID that belongs to the stranger's key.
func (s *Stranger) id() [16]byte { return nodeID(s.public()) }

// member is the stranger as a member of a network.
func (s *Stranger) member(network [16]byte, prefix netip.Prefix) memberState {
	about := memberMeta{
		public: s.public(), start: strangerStart, instance: strangerInstance, network: network, prefix: prefix, at: s.Endpoint(),
	}
	return memberState{
		Name: memberName(s.id(), strangerStart), Addr: s.addr.AsSlice(), Port: gossipPort, Incarnation: 1,
		Meta: about.encode(s.Key), Vsn: protocolVersions,
	}
}

// record is the stranger's own node record.
func (s *Stranger) record(network [16]byte) []byte {
	at := func(port uint16) []endpoint { return []endpoint{{Addr: netip.AddrPortFrom(s.addr, port)}} }
	return sign(s.Key, network, recordNode, nodeRecord{
		Key: s.public(), Start: strangerStart, Version: 1, Instance: strangerInstance, Name: "stranger", MTU: 1472,
		Endpoints: at(dataPort), Gossip: at(gossipPort), ProtocolMin: 2, ProtocolMax: 2,
	})
}
