package core

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"flanneld/peers/internal/record"
)

// Time is the time since the core's start, on a clock that only runs forward.
type Time = time.Duration

// Config is what a core is made with.
type Config struct {
	Identity record.Identity
	Instance uint64 // random, new for each start
	Name     string
	Endpoint netip.AddrPort // announced for datagrams
	Gossip   netip.AddrPort // announced for gossip
	MTU      uint16
	Pin      netip.Prefix  // the subnet to hold, or zero for any
	LeaseTTL time.Duration // how long a dead node keeps its subnet
	// Reserved are subnets that belong to other hosts outside of the
	// gossip.
	Reserved []Reservation
	// Prefer are the subnets to claim first where they are free, the best
	// one first. A prefix that is no subnet of the network is passed over.
	Prefer []netip.Prefix
	// MayFound lets a node that is in no network found one.
	MayFound bool
	// Want is the network asked for; zero fields are open.
	Want record.Network
	// Amnesia says that a durable state existed and was lost, and with it
	// perhaps promises. A lost table counts, too: the node does not know
	// which other nodes hold a lease.
	Amnesia bool
	Rand    *rand.Rand
	// SealKey is announced, for nodes that seal datagrams: 32 bytes, or
	// none.
	SealKey []byte
	// Caps are announced in the node record, each with its parameters. New
	// refuses more than 16, and parameters of more than 32 bytes. The slice
	// must not be changed afterwards.
	Caps []record.Capability

	// Signer makes and checks signatures; nil: Ed25519.
	Signer record.Signer
	// MaxVersion is the highest version of messages that is read and sent;
	// 0: record.MessageVersionMax.
	MaxVersion byte
}

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
	conflict  []Conflict
	wishesAt  uint64 // changes of leases that dropWishes has seen
	resumed   bool   // the start is durable, and the last lease is restored
	leaving   bool
	retireAt  Time // see Retire; 0: never

	grantedBy []record.NodeID // the holders that promised our lease

	leasesOnDisk leaseList
	saves        saves
	effects      Effects
}

// ErrNetworkParameters: the flags ask for a network other than the one that
// this node is in or joins.
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
	if c.durable.Network.Prefix.IsValid() || c.durable.Format != durableFormat {
		c.upgradeDurable()
	}
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

// enterKnownNetwork takes up the network of the durable state, if it has one,
// with its table and lease.
func (c *Core) enterKnownNetwork(encodedTable []byte) (err error) {
	n := c.durable.Network
	if !n.Prefix.IsValid() {
		if encodedTable != nil {
			c.former, err = record.DecodeState(encodedTable)
		}
		return err
	}
	if err := n.Agrees(c.cfg.Want); err != nil {
		return fmt.Errorf("%w: %w", ErrNetworkParameters, err)
	}
	if err := c.checkPin(n); err != nil {
		return err
	}
	c.table = c.newTable(n)
	if encodedTable != nil {
		if err := c.loadTable(encodedTable); err != nil {
			return err
		}
	}
	if encodedTable == nil {
		c.cfg.Amnesia = true // it does not know the other nodes
	}
	if c.durable.Pending {
		c.durable.Lease, c.durable.Pending = nil, false
		if l := c.table.Leases[c.durable.Slot]; l != nil && l.Rec.Holder == c.id {
			c.table.DropLease(c.durable.Slot)
		}
	}
	if len(c.durable.Lease) > 0 {
		if _, err := c.table.Take(c.durable.Lease, nil); err != nil {
			return fmt.Errorf("core: durable state: lease: %w", err)
		}
	}
	c.ledger.loadLeases(c.durable.Leases, c.id)
	return nil
}

func (c *Core) newTable(n record.Network) *record.Table {
	return record.NewTable(n, c.cfg.Endpoint.Addr().IsLoopback(), c.cfg.Signer)
}

// ErrOtherTable: the encoded table is of another network than the durable
// state.
var ErrOtherTable = errors.New("core: node table of another network")

// loadTable loads the table of the last start. It leaves out a record that is
// not valid: the network has it.
func (c *Core) loadTable(encoded []byte) error {
	s, err := record.DecodeState(encoded)
	if err != nil {
		return err
	}
	if s.Network.ID() != c.table.NetID {
		return ErrOtherTable
	}
	c.loadRecords(s)
	if n := c.table.Nodes[c.id]; n != nil {
		c.durable.Start = max(c.durable.Start, record.Next(n.Rec.Start))
	}
	return nil
}

// loadRecords fills the table with what this node once knew.
func (c *Core) loadRecords(s record.State) {
	c.cfg.Amnesia = c.cfg.Amnesia || s.Amnesiac
	for _, raw := range s.Former {
		c.table.TakeFormer(raw)
	}
	for _, raw := range s.Records {
		_, _ = c.table.Take(raw, nil)
	}
}

// prepareNetwork makes the network that Start founds, unless the driver finds
// that it does not fit the host.
func (c *Core) prepareNetwork() error {
	n, err := c.cfg.Want.WithDefaults()
	if err != nil {
		return err
	}
	n.Founder = c.id
	for i := range n.Nonce {
		n.Nonce[i] = byte(c.cfg.Rand.Uint32())
	}
	c.prepared = n
	return c.checkPin(n)
}

// checkPin refuses a pin that is no subnet of the network.
func (c *Core) checkPin(n record.Network) error {
	pin := c.cfg.Pin
	if !pin.IsValid() {
		return nil
	}
	slot, ok := n.SlotOf(pin)
	switch {
	case !ok:
		return fmt.Errorf("--subnet %s is no /%d subnet of network %s", pin, n.SubnetLen, n.Prefix)
	case slot == 0:
		return fmt.Errorf("--subnet %s is the first of network %s, which is not handed out", pin, n.Prefix)
	}
	return nil
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
	if record.MessageKind(msg[1]) == record.MsgRumour {
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

// retireFor is how long a node that is about to leave has no vote. Another call
// of Retire extends it.
const retireFor = 5 * time.Second

// Retire is for a node that is about to Leave: it promises nothing any more. It
// reports whether a live claimant still counts on a promise of this node. The
// promise would go with the node, and the slot could be granted to another
// claimant meanwhile.
func (c *Core) Retire(now Time) (owing bool) {
	c.advance(now)
	c.retireAt = max(c.now, 1)
	return c.table != nil && c.ledger.isCountedOn()
}

func (c *Core) isRetiring() bool { return c.retireAt > 0 && c.now-c.retireAt < retireFor }

// Leave hands the lease back and announces that this node has left. Once the
// save it asks for is answered, and its sends are done, the driver may stop.
func (c *Core) Leave(now Time) {
	c.advance(now)
	c.leaving = true
	if c.table == nil {
		return
	}
	c.withdrawClaim()
	c.claim.clear()
	c.setPhase(PhaseNone)
	c.freeOtherSlots()
	start := c.durable.Start
	c.announceSelf()
	c.pushToAll()
	// The next start begins afresh, but never under an old start number.
	// The table stays: should this node come back and report that its lease
	// has ended, it has to report which other nodes hold one.
	slot := c.durable.Slot
	c.durable = durable{Start: start, Endpoint: c.cfg.Endpoint, Gossip: c.cfg.Gossip, Slot: slot, Format: durableFormat}
	c.ledger.promises = nil
	if l := c.table.Leases[slot]; l != nil {
		c.durable.HandedBack, c.durable.Freed = l.Rec.Epoch, slot
	}
	c.save(nil)
	c.effects.Changed = true
}

// Errors of Forget.
var (
	ErrForgetAlive   = errors.New("the node is alive: run `flanneld leave` there")
	ErrForgetSuspect = errors.New("the node does not answer, but is not given up yet: try again in some seconds")
	ErrForgetSelf    = errors.New("this is the node itself: run `flanneld leave`")
	ErrForgetUnknown = errors.New("no such node")
	ErrForgetNoLease = errors.New("this node holds no lease, so other nodes would not take its word: run it on one that does")
)

// Forget strikes out a dead node and frees its subnet. Only a node that holds a
// lease can; what it says of a node that others see alive has no effect there.
func (c *Core) Forget(now Time, id record.NodeID) error {
	c.advance(now)
	switch {
	case c.table == nil:
		return ErrNoNetwork
	case id == c.id:
		return ErrForgetSelf
	case c.members.of(id).suspect:
		return ErrForgetSuspect
	case c.isUp(id):
		return ErrForgetAlive
	case c.table.HeldBy(c.id) == nil:
		return ErrForgetNoLease
	}
	if c.table.Nodes[id] == nil && c.table.HeldBy(id) == nil && !slices.Contains(c.allPossibleHolders(), id) {
		return ErrForgetUnknown
	}
	if err := c.strikeOut(id); err != nil {
		return err
	}
	c.pushToAll()
	return nil
}

// strikeOut frees the slots of a node, and writes a forget record.
func (c *Core) strikeOut(id record.NodeID) error {
	for _, s := range slices.Clone(c.table.Held[id]) {
		if err := c.writeFree(c.table.Leases[s].Rec); err != nil {
			return err
		}
	}
	rec := record.ForgetRecord{Node: id, Key: c.cfg.Identity.Public()}
	if n := c.table.Nodes[id]; n != nil {
		rec.Start = n.Rec.Start
	}
	c.makeRoomForForget()
	return c.write(record.KindForget, rec)
}

// advance sets the clock; time never runs back.
func (c *Core) advance(now Time) { c.now = max(c.now, now) }

// write signs a record, merges it and gossips it. It logs an error, too.
func (c *Core) write(kind record.Kind, rec any) error {
	raw := c.cfg.Identity.Seal(c.cfg.Signer, c.table.NetID, kind, rec)
	err := c.takeOwn(raw)
	if err != nil {
		c.log(levelError, "own record refused", "err", err)
	}
	return err
}

// takeOwn merges a record of this node's own and gossips it.
func (c *Core) takeOwn(raw []byte) error {
	defer func(before bool) { c.judge.trusted = before }(c.judge.trusted)
	c.judge.trusted = true
	return c.takeRecord(raw, true)
}

// writeFree hands a slot back, or takes it from a forgotten holder. The
// vouchers of the lease that ends stay in the record: they prove that there was
// one.
func (c *Core) writeFree(l record.LeaseRecord) error {
	free := record.LeaseRecord{Slot: l.Slot, Epoch: record.Next(l.Epoch), Freed: l.Holder, Pinned: l.Pinned, Ordinal: l.Ordinal,
		Key: c.cfg.Identity.Public()}
	free.Claim, free.Vouchers, free.Granted = l.Claim, l.Vouchers, l.GrantEpoch()
	return c.write(record.KindLease, free)
}

// announceSelf writes a new version of our node record.
func (c *Core) announceSelf() {
	c.version = record.Next(c.version)
	_ = c.write(record.KindNode, record.NodeRecord{
		Key: c.cfg.Identity.Public(), Start: c.durable.Start, Version: c.version, Instance: c.cfg.Instance,
		Name: c.cfg.Name, Endpoints: record.EndpointsOf(c.cfg.Endpoint), GossipEndpoints: record.EndpointsOf(c.cfg.Gossip),
		MTU: c.cfg.MTU, Caps: c.cfg.Caps, Left: c.leaving, SealKey: c.cfg.SealKey,
		ProtocolMin: record.MessageVersionMin, ProtocolMax: c.cfg.MaxVersion,
	})
}
