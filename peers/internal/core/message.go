// SPDX-License-Identifier: Apache-2.0

package core

import (
	"errors"
	"fmt"

	"flanneld/peers/internal/record"
)

// ErrNoNetwork means that the node is in no network yet.
var ErrNoNetwork = errors.New("core: not in a network yet")

// seal encodes and signs a message to a node.
func (c *Core) seal(to record.NodeID, kind record.MessageKind, body any) []byte {
	c.sent = record.Next(c.sent)
	m := record.Message{
		Header: record.Header{Start: c.durable.Start, Counter: c.sent}, Version: c.versionFor(to), Kind: kind,
		Network: c.table.NetID, To: to, Key: c.cfg.Identity.Public(),
	}
	return m.Seal(c.cfg.Signer, c.cfg.Identity.Key, body)
}

// versionFor is the highest version that both nodes read.
func (c *Core) versionFor(to record.NodeID) byte {
	if n := c.table.Nodes[to]; n != nil && !n.Former {
		return min(c.cfg.MaxVersion, max(n.Rec.ProtocolMax, record.MessageVersionMin))
	}
	return record.MessageVersionMin
}

// checkVersion refuses what this node does not read.
func (c *Core) checkVersion(msg []byte) error {
	switch {
	case len(msg) < 3 || len(msg) > record.MaxMessageLen:
		return fmt.Errorf("%w: %d bytes", record.ErrMalformed, len(msg))
	case msg[0] < record.MessageVersionMin || msg[0] > c.cfg.MaxVersion:
		return fmt.Errorf("%w: version %d, this node knows %d to %d", record.ErrMalformed, msg[0], record.MessageVersionMin, c.cfg.MaxVersion)
	}
	return nil
}

// open takes a message apart and checks that it is for this node, and from the
// node that it names.
func (c *Core) open(msg []byte) (record.Message, error) {
	m, err := record.OpenMessage(msg)
	switch {
	case err != nil:
		return record.Message{}, err
	case m.Network != c.table.NetID:
		return record.Message{}, record.ErrOtherNetwork
	case m.To != c.id:
		return record.Message{}, record.ErrNotForUs
	case m.From == c.id:
		return record.Message{}, nil // our own echo, or a clone's
	}
	return m, m.Verify(c.cfg.Signer)
}
