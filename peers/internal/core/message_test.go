package core

import (
	"encoding/binary"
	"errors"
)

// sentByTests numbers the messages that tests make.
var sentByTests uint64

// messageFrom is a message of another node to a core, signed as that core checks it.
func messageFrom(from Identity, to *Core, kind messageKind, body any) []byte {
	sentByTests++
	b := append([]byte{messageVersion, byte(kind)}, to.table.netID[:]...)
	b = append(append(b, to.id[:]...), from.public()...)
	b = binary.BigEndian.AppendUint64(b, 1<<20) // a start above any in a test
	b = binary.BigEndian.AppendUint64(b, sentByTests)
	b = mustAppend(b, body)
	return append(b, to.cfg.signer.sign(from.Key, append([]byte(messageDomain), b...))...)
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
