package core

import (
	"encoding/binary"
	"errors"
)

// sentByTests numbers the messages that tests make.
var sentByTests uint64

// messageFrom is a message of another node to a core, signed as that core
// checks it.
func messageFrom(from Identity, to *Core, kind messageKind, body any) []byte {
	sentByTests++
	b := messageOf(from, to.table.netID, to.id, 1<<20, sentByTests, kind, body) // a start above any in a test
	return append(b, to.cfg.signer.sign(from.Key, append([]byte(messageDomain), b...))...)
}

// messageOf is a message without its signature.
func messageOf(as Identity, net NetworkID, to NodeID, start, number uint64, kind messageKind, body any) []byte {
	b := append([]byte{messageVersion, byte(kind)}, net[:]...)
	b = append(append(b, to[:]...), as.public()...)
	b = binary.BigEndian.AppendUint64(b, start)
	b = binary.BigEndian.AppendUint64(b, number)
	return mustAppend(b, body)
}

// splitMessage takes a message apart without any check but of its length.
func splitMessage(msg []byte) (messageKind, []byte, error) {
	switch {
	case len(msg) > 2 && messageKind(msg[1]) == msgRumour:
		return msgRumour, msg[2:], nil
	case len(msg) < directMin:
		return 0, nil, errors.New("short message")
	}
	return messageKind(msg[1]), msg[directHead : len(msg)-64], nil
}
