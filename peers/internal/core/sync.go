// SPDX-License-Identifier: Apache-2.0

package core

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"flanneld/peers/internal/record"
)

// Anti-entropy. Every syncEvery or so a node sends the digest of its table to
// one random live member. Where the two tables differ, the nodes exchange the
// parts that do. It makes tables equal after losses of any kind, and carries a
// mass start.
const (
	syncEvery = 2 * time.Second
	// chunkLen bounds one message of records, in bytes.
	chunkLen = 256 << 10
	// pushFanout is how many live members are told directly, when a node
	// leaves or another is forgotten.
	pushFanout = 8
)

type syncState struct {
	served    map[record.NodeID]*tokens // see serves
	nextAt    Time
	remindAt  Time
	compareAt Time // see compareEvery
}

func (c *Core) driveSync() {
	if c.now < c.sync.nextAt {
		return
	}
	c.purge()
	c.dropOldForgets()
	c.sync.nextAt = c.now + syncEvery/2 + time.Duration(c.cfg.Rand.Int64N(int64(syncEvery)))
	if live := c.members.live(); len(live) > 0 {
		c.sendDigest(live[c.cfg.Rand.IntN(len(live))])
	}
}

func (c *Core) sendDigest(to record.NodeID) {
	c.send(to, record.MsgDigest, record.DigestMessage{Parts: c.table.Digest.Bytes()})
}

// receiveDigest answers with the parts that differ, and asks for the sender's.
func (c *Core) receiveDigest(m record.DigestMessage) error {
	mask, ok := c.table.Digest.Differing(m.Parts)
	if !ok {
		return fmt.Errorf("%w: digest of %d bytes", record.ErrMalformed, len(m.Parts))
	}
	if mask != 0 && c.replays.first(m.Header) && c.serves(m.From) {
		c.sendParts(m.From, mask, mask)
	}
	return nil
}

// How often one node is sent parts of the table: so many times at once, then
// twice a second. Whole tables are long, and a question for one is short.
const (
	serveBurst = 16
	serveEvery = 500 * time.Millisecond
)

// serves reports whether a node may get parts of the table now.
func (c *Core) serves(id record.NodeID) bool {
	return bucketFor(c.sync.served, id).take(c.now, serveBurst, serveEvery)
}

// sendParts sends our records of the parts in mask, in messages of bounded
// length. The last message asks for the receiver's records of the parts in
// want.
func (c *Core) sendParts(to record.NodeID, mask, want uint32) {
	m, size := record.Records{}, 0
	for _, raw := range c.table.Records(mask) {
		if size+len(raw) > chunkLen {
			c.send(to, record.MsgRecords, m)
			m.Records, size = nil, 0
		}
		m.Records, size = append(m.Records, raw), size+len(raw)
	}
	m.Mask = want
	c.send(to, record.MsgRecords, m)
}

// maxRefused is how many wrong records end the handling of a message: a
// signature costs time to check.
const maxRefused = 4

// takeRecords merges the records of one message or state. The error is the last
// one's.
func (c *Core) takeRecords(all [][]byte, spread bool) error {
	var refused error
	wrong := 0
	for _, raw := range all {
		err := c.takeRecord(raw, spread)
		if err == nil {
			continue
		}
		if refused = err; !errors.Is(err, record.ErrTableFull) {
			wrong++
		}
		if wrong >= maxRefused {
			break
		}
	}
	return refused
}

// receiveRecords merges records. A single record in a message that asks for
// nothing is a lease that was just granted. If it is news it is passed on. A
// part of a table is not.
func (c *Core) receiveRecords(m record.Records) error {
	refused := c.takeTable(m.Records, len(m.Records) == 1 && m.Mask == 0)
	if l := c.table.Leases[m.AckSlot]; m.AckSlot != 0 && l != nil && l.Rec.Holder == m.From {
		c.send(m.From, record.MsgAck, record.Ack{Slot: m.AckSlot, Epoch: l.Rec.Epoch})
	}
	if m.Mask != 0 && c.replays.first(m.Header) && c.serves(m.From) {
		c.sendParts(m.From, m.Mask, 0)
	}
	c.decide() // electors may have become known
	return refused
}

// pushToAll sends what this node has just written to some live members
// directly.
func (c *Core) pushToAll() {
	live := slices.Clone(c.members.live())
	c.cfg.Rand.Shuffle(len(live), func(i, j int) { live[i], live[j] = live[j], live[i] })
	for _, id := range live[:min(len(live), pushFanout)] {
		c.sendParts(id, 1<<record.Parts-1, 0)
	}
}

// State is the whole node table, encoded; nil while in no network. Nodes
// exchange it when they join, and it is kept on disk for the next start. The
// bytes must not be changed.
func (c *Core) State() []byte {
	if c.table == nil || c.founding {
		return nil
	}
	if k := (keptState{c.table.Changes, c.amnesiac(), nil}); k.changes != c.lastState.changes || k.amnesiac != c.lastState.amnesiac {
		k.encoded = record.Encode(record.State{Network: c.Network(), Records: c.table.Records(1<<record.Parts - 1), Amnesiac: k.amnesiac, Former: c.table.FormerRecords()})
		c.lastState = k
	}
	return c.lastState.encoded
}

// Brief is the digest of the table. Between nodes that have joined each other
// already it does the work of a State. Merge takes either.
func (c *Core) Brief() []byte {
	if c.table == nil || c.founding {
		return nil
	}
	return record.Encode(record.State{Network: c.Network(), Parts: c.table.Digest.Bytes()})
}

// keptState is what State returned last, and what was true then.
type keptState struct {
	changes  uint64
	amnesiac bool
	encoded  []byte
}

// Merge merges the State or Brief of another node, from. A node that is in no
// network enters the other's, unless its flags ask for another one
// (ErrNetworkParameters). A node that knows no lease yet accepts the first
// state as it is. Later ones are judged like any other record.
func (c *Core) Merge(now Time, from record.NodeID, encoded []byte) error {
	c.advance(now)
	if c.table != nil && c.lastState.changes == c.table.Changes && bytes.Equal(encoded, c.lastState.encoded) {
		return nil // it knows the same
	}
	s, err := record.DecodeState(encoded)
	if err != nil {
		return err
	}
	if c.table == nil {
		if err := c.enter(s.Network); err != nil {
			return err
		}
	}
	if c.founding || s.Network.ID() != c.table.NetID {
		return record.ErrOtherNetwork
	}
	if len(s.Parts) > 0 {
		return c.compare(from, s.Parts)
	}
	c.judge.from = from
	defer func() { c.judge.from = record.NodeID{} }()
	return c.takeTable(s.Records, false)
}

// takeTable merges records of another node's table. A node that knows no lease
// has nothing to judge by, and takes them as they are.
func (c *Core) takeTable(all [][]byte, spread bool) error {
	c.judge.trusted = len(c.table.Leases) == 0
	defer func() { c.judge.trusted = false }()
	return c.takeRecords(all, spread)
}

// compare exchanges what differs with a node that has sent its digest.
func (c *Core) compare(from record.NodeID, parts []byte) error {
	mask, ok := c.table.Digest.Differing(parts)
	if !ok {
		return fmt.Errorf("%w: digest of %d bytes", record.ErrMalformed, len(parts))
	}
	if mask != 0 && from != c.id && c.serves(from) {
		c.sendParts(from, mask, mask)
	}
	return nil
}

// enter makes another node's network ours.
func (c *Core) enter(n record.Network) error {
	if c.cfg.MayFound {
		return record.ErrOtherNetwork // ours is about to be founded
	}
	if err := n.Agrees(c.cfg.Want); err != nil {
		return fmt.Errorf("%w: %w", ErrNetworkParameters, err)
	}
	if err := c.checkPin(n); err != nil {
		return fmt.Errorf("%w: %w", ErrNetworkParameters, err)
	}
	c.durable.Network = n
	c.table = c.newTable(n)
	if c.former.Network.ID() == n.ID() {
		c.loadRecords(c.former)
	}
	c.save(nil)
	c.announceSelf()
	c.log(levelInfo, "joined a network", "network", n.Prefix, "id", n.ID().Short())
	return nil
}
