// SPDX-License-Identifier: Apache-2.0

package core

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"flanneld/peers/internal/record"
)

// Core is the state machine. Its methods must not be called concurrently.
type Core struct {
	directory
	cfg      Config
	tickedAt Time
	durable  durable
	prepared record.Network // to be founded; see prepareNetwork
	ledger   ledger
	former   record.State // of the network that the last start left; zero: it did not
	version  uint64       // of our own node record

	joinedAt  Time // when state was first exchanged with another node; -1: not yet
	backAt    Time // when this node was last asleep, or without any other node
	approved  bool // the driver has checked the network against the host
	founding  bool // the network exists here only, and is not durable yet
	claim     claim
	start     uint64      // number of this start, before any change of address
	claims    uint32      // made in this start
	sent      uint64      // number of the last message of this start
	judge     *judge      // decides which records of others are accepted
	gate      record.Gate // the same, as the table sees it
	replays   replays
	secret    [32]byte                 // see cookie
	cookies   map[record.NodeID][]byte // from holders that do not see this node as a member yet
	newcomers tokens                   // promises to nodes without a lease
	sync      syncState
	lastState keptState
	conflicts conflicts
	wishesAt  uint64 // changes of leases that dropWishes has seen
	resumed   bool   // the start is durable, and the last lease is restored
	leaving   bool
	retireAt  Time // see Retire; 0: never

	grantedBy []record.NodeID // the holders that promised our lease

	leasesOnDisk leaseList
	saves        saves
	effects      Effects
}

// ErrNetworkParameters means that the flags ask for a network other than the
// one that this node is in or joins.
var ErrNetworkParameters = errors.New("network parameters differ")

// New makes a core from the durable state and the encoded table that its last
// start left. Either may be nil.
func New(cfg Config, encodedDurable, encodedTable []byte) (*Core, error) {
	if err := record.CheckCaps(cfg.Caps); err != nil {
		return nil, fmt.Errorf("core: %w", err)
	}
	c := &Core{
		cfg:       cfg,
		directory: newDirectory(cfg.Identity.ID(), cfg.LeaseTTL),
		joinedAt:  -1,
		sync:      syncState{served: map[record.NodeID]*tokens{}},
	}
	c.ledger = newLedger(&c.directory)
	if c.cfg.Signer == nil {
		c.cfg.Signer = record.Ed25519{}
	}
	if c.cfg.MaxVersion == 0 {
		c.cfg.MaxVersion = record.MessageVersionMax
	}
	c.judge, c.replays, c.cookies = newJudge(c), replays{}, map[record.NodeID][]byte{}
	c.gate = c.judge
	for i := range c.secret {
		c.secret[i] = byte(cfg.Rand.Uint32())
	}
	if encodedDurable != nil {
		v, err := decodeDurable(encodedDurable)
		if err != nil {
			return nil, err
		}
		c.durable = v
	}
	c.cfg.Reserved = slices.Clone(cfg.Reserved)
	c.ledger.promises = c.durable.Promises
	c.upgradeDurable()
	c.durable.Start = record.Next(c.durable.Start)
	c.durable.Endpoint, c.durable.Gossip = cfg.Endpoint, cfg.Gossip
	if err := c.enterKnownNetwork(encodedTable); err != nil {
		return nil, err
	}
	if c.table == nil && !cfg.MayFound {
		return c, nil
	}
	if c.table == nil {
		return c, c.prepareNetwork()
	}
	return c, nil
}

// ID is this node's ID.
func (c *Core) ID() record.NodeID { return c.id }

// StartNumber is the number of this start. It is durable once the first Save
// has been answered. Only then may other nodes see it.
func (c *Core) StartNumber() uint64 { return c.durable.Start }

// Network is the network this node is in, or is about to found; its Prefix is
// zero before either.
func (c *Core) Network() record.Network {
	if c.table != nil {
		return c.table.Network
	}
	return c.prepared
}

// Start begins the work: the new start number is written. Once that is durable
// a remembered lease is confirmed, without asking other nodes.
func (c *Core) Start(now Time) {
	c.advance(now)
	c.start = c.durable.Start
	if c.table == nil {
		c.save(nil)
		return
	}
	c.save(func() {
		c.announceSelf()
		c.resumeLease()
		c.resumed = true
	})
}

// Approve says that the network fits this host. From now on the node may found
// it, or claim a lease.
func (c *Core) Approve(now Time) {
	c.advance(now)
	if c.approved || !c.Network().Prefix.IsValid() {
		return
	}
	c.approved = true
	if c.table == nil {
		c.found()
	}
}

// Tick lets time pass; the driver calls it about every 100 ms.
func (c *Core) Tick(now Time) {
	c.advance(now)
	if c.table == nil || c.leaving {
		return
	}
	c.noticePause()
	c.endAmnesia()
	c.reclaim()
	c.driveAffirming()
	for range c.ledger.expire(c.now, c.cfg.LeaseTTL) {
		c.save(nil)
	}
	c.dropWishes()
	if c.ledger.dropResolved(c.now) {
		c.save(nil) // the same write has the leases
	}
	c.remindClaimants()
	c.driveClaim()
	c.driveSync()
}

// Joined says that state was exchanged with another node.
func (c *Core) Joined(now Time) {
	c.advance(now)
	if c.joinedAt < 0 {
		c.joinedAt = c.now
		c.effects.Changed = true
	}
}

// Receive handles a message. After an error the message had no effect.
func (c *Core) Receive(now Time, msg []byte) error {
	c.advance(now)
	if c.table == nil || c.founding {
		return ErrNoNetwork
	}
	if err := c.checkVersion(msg); err != nil {
		return err
	}
	if record.MessageKind(msg[1]) == record.MsgRumor {
		return c.takeRecord(msg[2:], true)
	}
	d, err := c.open(msg)
	if err != nil || d.From.IsZero() {
		return err
	}
	c.judge.from = d.From
	defer func() { c.judge.from = record.NodeID{} }()
	switch d.Kind {
	case record.MsgAsk:
		return handle(d, c.receiveAsk)
	case record.MsgAnswer:
		return handle(d, c.receiveAnswer)
	case record.MsgWithdraw:
		return handle(d, c.receiveWithdraw)
	case record.MsgRecords:
		return handle(d, c.receiveRecords)
	case record.MsgAck:
		return handle(d, c.receiveAck)
	case record.MsgDigest:
		return handle(d, c.receiveDigest)
	}
	return fmt.Errorf("%w: kind %d", record.ErrMalformed, d.Kind)
}

// handle decodes a message's body for its receiver.
func handle[M any, P interface {
	*M
	SetHeader(record.Header)
}](d record.Message, receive func(M) error) error {
	m, err := record.DecodeBody[M](d.Body)
	if err != nil {
		return err
	}
	P(&m).SetHeader(d.Header)
	return receive(m)
}

// SetAddress changes the underlay address. It counts as a start, since gossip
// needs a member of another name for it. StartNumber changes, and may be shown
// once the Save is answered. Then the address is announced.
func (c *Core) SetAddress(now Time, endpoint, gossip netip.AddrPort) {
	c.advance(now)
	c.cfg.Endpoint, c.cfg.Gossip = endpoint, gossip
	c.durable.Endpoint, c.durable.Gossip = endpoint, gossip
	c.durable.Start = record.Next(c.durable.Start)
	c.version = 0
	c.save(func() {
		if c.table != nil {
			c.announceSelf()
		}
	})
}

// advance sets the clock; time never runs back.
func (c *Core) advance(now Time) { c.now = max(c.now, now) }
