package core

// sentByTests numbers the messages that tests make.
var sentByTests uint64

// messageFrom is a message of another node to a core, signed as that core
// checks it.
func messageFrom(from Identity, to *Core, kind messageKind, body any) []byte {
	sentByTests++
	m := messageOf(from, to.table.netID, to.id, 1<<20, sentByTests, kind) // a start above any in a test
	return m.seal(to.cfg.signer, from.Key, body)
}

// messageOf is the head of a message.
func messageOf(as Identity, net NetworkID, to NodeID, start, number uint64, kind messageKind) message {
	return message{header: header{Start: start, Counter: number}, version: messageVersion, kind: kind, network: net, to: to, key: as.Public()}
}

// splitMessage takes a message apart without any check but of its length.
func splitMessage(msg []byte) (messageKind, []byte, error) {
	if len(msg) > 2 && messageKind(msg[1]) == msgRumour {
		return msgRumour, msg[2:], nil
	}
	m, err := openMessage(msg)
	return m.kind, m.body, err
}
