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
	// Reserved are subnets that belong to other hosts outside of the gossip.
	Reserved []Reservation
	// Prefer are the subnets to claim first where they are free, the best one
	// first; those that are none of the network's are passed over.
	Prefer []netip.Prefix
	// MayFound lets a node that is in no network found one.
	MayFound bool
	// Want is the network asked for; zero fields are open.
	Want record.Network
	// Amnesia says that a vault existed and was lost, so that promises may
	// have been made which nobody here remembers. A lost table counts, too: the node does
	// not know who else holds a lease.
	Amnesia bool
	Rand    *rand.Rand
	// SealKey is announced, for those that seal datagrams: 32 bytes, or none.
	SealKey []byte
	Caps    []record.Capability // announced; at most 16

	// Signer makes and checks signatures; nil: Ed25519.
	Signer record.Signer
	// MaxVersion is the highest version of messages that is read and sent; 0:
	// record.MessageVersionMax.
	MaxVersion byte
}

// Core is the state machine. Its methods must not be called concurrently.
type Core struct {
	directory
	cfg      Config
	tickedAt Time
	vault    vault
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
	judge     *judge      // which records of others are taken
	gate      record.Gate // the same, as the table sees it
	replays   replays
	secret    [32]byte                 // see cookie
	cookies   map[record.NodeID][]byte // of holders that this node is no member for yet
	newcomers tokens                   // promises to nodes without a lease
	sync      syncState
	kept      keptState
	conflict  []Conflict
	wishesAt  uint64 // changes of leases that dropWishes has seen
	resumed   bool   // the start is durable, and the lease of the last one is taken up
	leaving   bool
	retireAt  Time // see Retire; 0: never

	grantedBy []record.NodeID // who promised our lease

	known   leaseList
	saves   saves
	effects Effects
}

// ErrNetworkParameters: the flags ask for another network than the one this
// node is in or joins.
var ErrNetworkParameters = errors.New("network parameters differ")

// New makes a core from what its last start left: the vault and the encoded
// table, either of which may be nil.
func New(cfg Config, encodedVault, encodedTable []byte) (*Core, error) {
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
	if encodedVault != nil {
		v, err := decodeVault(encodedVault)
		if err != nil {
			return nil, err
		}
		c.vault = v
	}
	c.cfg.Reserved = slices.Clone(cfg.Reserved)
	c.ledger.promises = c.vault.Promises
	if c.vault.Network.Prefix.IsValid() || c.vault.Format != vaultFormat {
		c.upgradeVault()
	}
	c.vault.Start = record.Next(c.vault.Start)
	c.vault.Endpoint, c.vault.Gossip = cfg.Endpoint, cfg.Gossip
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

// enterKnownNetwork takes up the network of the vault, if it has one, with its
// table and lease.
func (c *Core) enterKnownNetwork(encodedTable []byte) (err error) {
	n := c.vault.Network
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
		c.cfg.Amnesia = true // it does not know the others
	}
	if c.vault.Pending {
		c.vault.Lease, c.vault.Pending = nil, false
		if l := c.table.Leases[c.vault.Slot]; l != nil && l.Rec.Holder == c.id {
			c.table.DropLease(c.vault.Slot)
		}
	}
	if len(c.vault.Lease) > 0 {
		if _, err := c.table.Take(c.vault.Lease, nil); err != nil {
			return fmt.Errorf("core: vault: lease: %w", err)
		}
	}
	c.ledger.loadLeases(c.vault.Leases, c.id)
	return nil
}

func (c *Core) newTable(n record.Network) *record.Table {
	return record.NewTable(n, c.cfg.Endpoint.Addr().IsLoopback(), c.cfg.Signer)
}

// ErrOtherTable: the encoded table is of another network than the vault.
var ErrOtherTable = errors.New("core: node table of another network")

// loadTable takes up the table of the last start. A record in it that does not
// hold is left out: the network has it.
func (c *Core) loadTable(encoded []byte) error {
	s, err := record.DecodeState(encoded)
	if err != nil {
		return err
	}
	if s.Network.ID() != c.table.NetID {
		return ErrOtherTable
	}
	c.takeUp(s)
	if n := c.table.Nodes[c.id]; n != nil {
		c.vault.Start = max(c.vault.Start, record.Next(n.Rec.Start))
	}
	return nil
}

// takeUp begins the table with what this node once knew.
func (c *Core) takeUp(s record.State) {
	c.cfg.Amnesia = c.cfg.Amnesia || s.Amnesiac
	for _, raw := range s.Former {
		c.table.TakeFormer(raw)
	}
	for _, raw := range s.Records {
		_, _ = c.table.Take(raw, nil)
	}
}

// prepareNetwork makes the network that Start will found, unless the driver
// finds that it does not fit the host.
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

// ID is this node's.
func (c *Core) ID() record.NodeID { return c.id }

// StartNumber is the number of this start. It is durable once the first Save
// has been answered; only then may it be shown to anyone.
func (c *Core) StartNumber() uint64 { return c.vault.Start }

// Network is the network this node is in, or is about to found; its Prefix is
// zero before either.
func (c *Core) Network() record.Network {
	if c.table != nil {
		return c.table.Network
	}
	return c.prepared
}

// Start sets the core going: it has the new start number written. Once that
// is durable a remembered lease is confirmed, without asking anyone.
func (c *Core) Start(now Time) {
	c.advance(now)
	c.start = c.vault.Start
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

// Approve says that the network fits this host: from now on it may be founded
// or a lease be claimed.
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
	if c.ledger.dropSettled(c.now) {
		c.save(nil) // the same write has the leases
	}
	c.remindClaimants()
	c.driveClaim()
	c.driveSync()
}

// Joined says that state was exchanged with a node that is not this one.
func (c *Core) Joined(now Time) {
	c.advance(now)
	if c.joinedAt < 0 {
		c.joinedAt = c.now
		c.effects.Changed = true
	}
}

// Receive takes in a message. An error means that it was dropped whole.
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
// needs a member of another name for it: StartNumber is another one, and may be
// shown once the Save is answered. Then the address is announced.
func (c *Core) SetAddress(now Time, endpoint, gossip netip.AddrPort) {
	c.advance(now)
	c.cfg.Endpoint, c.cfg.Gossip = endpoint, gossip
	c.vault.Endpoint, c.vault.Gossip = endpoint, gossip
	c.vault.Start = record.Next(c.vault.Start)
	c.version = 0
	c.save(func() {
		if c.table != nil {
			c.announceSelf()
		}
	})
}

// retireFor is how long a node that is about to leave has no say, unless it says
// again that it is.
const retireFor = 5 * time.Second

// Retire is for a node that is about to Leave: it promises nothing any more. It
// reports whether a live claimant still counts on a promise of this node's, which
// would be gone with it: somebody else might be granted the slot meanwhile.
func (c *Core) Retire(now Time) (owing bool) {
	c.advance(now)
	c.retireAt = max(c.now, 1)
	return c.table != nil && c.ledger.isCountedOn()
}

func (c *Core) retiring() bool { return c.retireAt > 0 && c.now-c.retireAt < retireFor }

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
	c.releaseOthers()
	start := c.vault.Start
	c.announceSelf()
	c.pushToAll()
	// The next start begins afresh, but never under an old start number. The table stays: should this node come back to
	// the network, and say there that its lease has ended, it has to say who else holds one.
	slot := c.vault.Slot
	c.vault = vault{Start: start, Endpoint: c.cfg.Endpoint, Gossip: c.cfg.Gossip, Slot: slot, Format: vaultFormat}
	c.ledger.promises = nil
	if l := c.table.Leases[slot]; l != nil {
		c.vault.HandedBack, c.vault.Freed = l.Rec.Epoch, slot
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
	if c.table.Nodes[id] == nil && c.table.HeldBy(id) == nil && !slices.Contains(c.everyOwed(), id) {
		return ErrForgetUnknown
	}
	if err := c.strikeOut(id); err != nil {
		return err
	}
	c.pushToAll()
	return nil
}

// strikeOut frees what a node holds, and writes that it is no more.
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

// write signs a record, merges it and gossips it. An error is logged, too.
func (c *Core) write(kind record.Kind, rec any) error {
	raw := c.cfg.Identity.Seal(c.cfg.Signer, c.table.NetID, kind, rec)
	err := c.takeOwn(raw)
	if err != nil {
		c.log(levelError, "a record of our own was refused", "err", err)
	}
	return err
}

// takeOwn merges a record of this node's own and gossips it.
func (c *Core) takeOwn(raw []byte) error {
	defer func(before bool) { c.judge.trusted = before }(c.judge.trusted)
	c.judge.trusted = true
	return c.takeRecord(raw, true)
}

// writeFree hands a slot back, or takes it from a forgotten holder. The vouchers
// of the lease that ends stay with it: they show that there was one.
func (c *Core) writeFree(l record.LeaseRecord) error {
	free := record.LeaseRecord{Slot: l.Slot, Epoch: record.Next(l.Epoch), Freed: l.Holder, Pinned: l.Pinned, Ordinal: l.Ordinal,
		Key: c.cfg.Identity.Public()}
	free.Claim, free.Vouchers, free.Granted = l.Claim, l.Vouchers, l.GrantEpoch()
	return c.write(record.KindLease, free)
}

// announceSelf writes our node record anew.
func (c *Core) announceSelf() {
	c.version = record.Next(c.version)
	_ = c.write(record.KindNode, record.NodeRecord{
		Key: c.cfg.Identity.Public(), Start: c.vault.Start, Version: c.version, Instance: c.cfg.Instance,
		Name: c.cfg.Name, Endpoints: record.EndpointsOf(c.cfg.Endpoint), GossipEndpoints: record.EndpointsOf(c.cfg.Gossip),
		MTU: c.cfg.MTU, Caps: c.cfg.Caps, Left: c.leaving, SealKey: c.cfg.SealKey,
		ProtocolMin: record.MessageVersionMin, ProtocolMax: c.cfg.MaxVersion,
	})
}
