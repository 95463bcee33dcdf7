package core

import (
	"errors"
	"fmt"
)

// ErrNoNetwork: the node is in no network yet.
var ErrNoNetwork = errors.New("core: not in a network yet")

// seal encodes and signs a message to a node.
func (c *Core) seal(to NodeID, kind messageKind, body any) []byte {
	c.sent = next(c.sent)
	m := message{
		header: header{Start: c.vault.Start, Counter: c.sent}, version: c.versionFor(to), kind: kind,
		network: c.table.netID, to: to, key: c.cfg.Identity.Public(),
	}
	return m.seal(c.cfg.signer, c.cfg.Identity.Key, body)
}

// versionFor is the highest version that both nodes read.
func (c *Core) versionFor(to NodeID) byte {
	if n := c.table.nodes[to]; n != nil && !n.former {
		return min(c.cfg.maxVersion, max(n.rec.ProtocolMax, messageVersionMin))
	}
	return messageVersionMin
}

// checkVersion refuses what this node does not read.
func (c *Core) checkVersion(msg []byte) error {
	switch {
	case len(msg) < 3 || len(msg) > maxMessageLen:
		return fmt.Errorf("%w: %d bytes", ErrMalformed, len(msg))
	case msg[0] < messageVersionMin || msg[0] > c.cfg.maxVersion:
		return fmt.Errorf("%w: version %d, this node knows %d to %d", ErrMalformed, msg[0], messageVersionMin, c.cfg.maxVersion)
	}
	return nil
}

// open takes a message apart and checks that it is for this node, and from the
// node that it names.
func (c *Core) open(msg []byte) (message, error) {
	m, err := openMessage(msg)
	switch {
	case err != nil:
		return message{}, err
	case m.network != c.table.netID:
		return message{}, ErrOtherNetwork
	case m.to != c.id:
		return message{}, ErrNotForUs
	case m.From == c.id:
		return message{}, nil // our own echo, or a clone's
	}
	return m, m.verify(c.cfg.signer)
}
