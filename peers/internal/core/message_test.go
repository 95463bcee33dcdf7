package core

import "flanneld/peers/internal/record"

// sentByTests numbers the messages that tests make.
var sentByTests uint64

// messageFrom is a message of another node to a core, signed as that core
// checks it.
func messageFrom(from record.Identity, to *Core, kind record.MessageKind, body any) []byte {
	sentByTests++
	m := messageOf(from, to.table.NetID, to.id, 1<<20, sentByTests, kind) // a start above any in a test
	return m.Seal(to.cfg.signer, from.Key, body)
}

// messageOf is the head of a message.
func messageOf(as record.Identity, net record.NetworkID, to record.NodeID, start, number uint64, kind record.MessageKind) record.Message {
	return record.Message{Header: record.Header{Start: start, Counter: number}, Version: record.MessageVersion, Kind: kind, Network: net, To: to, Key: as.Public()}
}

// splitMessage takes a message apart without any check but of its length.
func splitMessage(msg []byte) (record.MessageKind, []byte, error) {
	if len(msg) > 2 && record.MessageKind(msg[1]) == record.MsgRumour {
		return record.MsgRumour, msg[2:], nil
	}
	m, err := record.OpenMessage(msg)
	return m.Kind, m.Body, err
}
