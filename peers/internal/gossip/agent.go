// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"context"
	"log"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

// Gossip timings, for a local network of 2 to 1,000 nodes. A node that stops is
// probed within a second or two, and suspected a second later (probeInterval).
// It is declared dead after suspicionMult × max(1, log10 n) probe intervals
// once another node agrees. That is some 5 s after it stopped at up to 10
// nodes. Where no node agrees, the last term takes suspicionMaxMult times as
// long.
//
// A live node is declared dead only if it does not answer in all that time: not
// directly, not through three others, and not over TCP. Nodes that it does
// answer keep it even then, see doubt.go.
const (
	probeInterval    = time.Second
	probeTimeout     = 500 * time.Millisecond
	suspicionMult    = 3
	suspicionMaxMult = 3
	gossipInterval   = 50 * time.Millisecond
	gossipNodes      = 4
	retransmitMult   = 4 // how often one node sends a broadcast: times the digits of the number of nodes
	// gossipToDead is how long a dead member still gets gossip, so that one
	// that was only paused refutes its death.
	gossipToDead = time.Minute
	// awareness turns memberlist's awareness off. With it, a node that misses
	// acknowledgements probes up to eight times less often. When half of a
	// network loses its power, the other half would notice after 20 to 50 s.
	// Awareness keeps a slow node from declaring others dead. doubt.go does
	// that better: it asks them.
	awareness        = 1
	pushPullInterval = 30 * time.Second
	streamTimeout    = 5 * time.Second
	handoffQueue     = 4096 // datagrams received and not yet handled
	// suspectFor is how long a failed probe of ours marks a member: the longest
	// a suspicion lasts at 10 nodes.
	suspectFor = suspicionMult * suspicionMaxMult * probeInterval
)

// Limits between gossip's goroutines and the core's.
const (
	maxDatagram  = 1232 // bytes of a frame: 1,280 with all headers; a longer one goes by stream
	newcomerFor  = 30 * time.Second
	messageQueue = 4096
	stateQueue   = 64
	longQueue    = 256
	longSenders  = 4
	// Bytes that the queues may hold. A state of 8,192 nodes has 8 MB.
	messageBytes = 8 << 20
	stateBytes   = 16 << 20
	longBytes    = 16 << 20
)

// Agent is this node's member in memberlist, and all that memberlist calls.
type Agent struct {
	log       *slog.Logger
	transport *Transport
	list      *memberlist.Memberlist
	members   *members
	keyring   *wire.Keyring // nil: not sealed
	identity  record.Identity
	limits    limits
	questions *questions
	inquiries *pending[inquiry]
	asked     chan received
	checkups  *pending[checkup]
	tells
	limited  atomic.Uint64  // datagrams over a limit
	refused  atomic.Uint64  // datagrams, streams and states that made no sense or were not for us
	name     string         // our member name
	endpoint netip.AddrPort // where others reach us
	notices  *notices

	about atomic.Pointer[wire.Meta] // ours
	state atomic.Pointer[[]byte]    // what we say in a join
	brief atomic.Pointer[[]byte]    // what we say in any other push/pull

	broadcasts *broadcastQueue
	messages   chan []byte
	states     chan wire.State
	duplicates chan Duplicate
	metaNews   chan struct{} // one token: our meta has changed
	dropped    atomic.Uint64 // messages and states for which there was no room, and late datagrams
	// Bytes that messages, states and long may still hold.
	messageRoom, stateRoom, longRoom room
	long                             chan longMessage
	replies                          chan longMessage // answers to checkups
	workers                          sync.WaitGroup
	unsent                           sync.WaitGroup // long messages queued or under way

	// These belong to the goroutine that calls Send, Open and Tick.
	started time.Time
	ticked  time.Time // by the last Tick
	paths   *returnPaths
	prober  prober
}

// tells are what other nodes are told that ask. A nil one tells nothing.
type tells struct {
	makeReport func() []byte
	witness    func(record.NodeID) Witness
	answerTo   func(from record.NodeID, question []byte) []byte
}

// Config is what an agent needs to know before it starts.
type Config struct {
	Identity record.Identity
	Start    uint64           // number of this start of the node
	Instance uint64           // random for each start
	Endpoint netip.AddrPort   // where other nodes reach the transport
	Network  record.NetworkID // zero: in none yet
	Prefix   netip.Prefix     // of the network
	Speaks   wire.Versions    // zero: [wire.OwnVersions]
	Keyring  *wire.Keyring    // nil: gossip is not sealed
	Report   func() []byte    // see peers.Config; nil: nothing is reported
	// Answer answers a question of a lease holder, see [Agent.Inquire]. An
	// empty answer is not sent. It must not wait. Nil: nothing is answered.
	Answer func(from record.NodeID, question []byte) []byte
	// Witness is what to tell a node that asks. It must not wait. Nil: nothing.
	Witness func(record.NodeID) Witness
	Log     *slog.Logger
}

// New makes an agent that takes traffic of t in at once. [Agent.Start]
// makes its member. It owns t from then on.
func New(t *Transport, c Config) *Agent {
	if c.Speaks == (wire.Versions{}) {
		c.Speaks = wire.OwnVersions
	}
	self := wire.Meta{
		Node: c.Identity.ID(), Speaks: c.Speaks, Start: c.Start, Instance: c.Instance, At: c.Endpoint,
		Network: c.Network, Prefix: c.Prefix, Looking: true,
	}
	return newAgent(t, self, c.Identity, c.Keyring, tells{c.Report, c.Witness, c.Answer}, c.Log)
}

// Successor makes the agent that takes this one's place after a move to another
// endpoint. start is the number of a new start. The nodes that are up now,
// which it returns as well, count as up until the successor has had the time to
// meet them again.
func (g *Agent) Successor(t *Transport, start uint64, endpoint netip.AddrPort) (next *Agent, up []record.NodeID) {
	up = g.members.up()
	self := *g.about.Load()
	self.Start, self.At = start, endpoint
	next = newAgent(t, self, g.identity, g.keyring, g.tells, g.log)
	next.members.expect(up, time.Now().Add(suspectFor))
	return next, up
}

// newAgent makes everything but the member itself, which Start does. It owns t
// from then on.
func newAgent(t *Transport, self wire.Meta, id record.Identity, keyring *wire.Keyring, says tells, logger *slog.Logger) *Agent {
	endpoint := self.At
	g := &Agent{
		log: logger, transport: t, keyring: keyring, endpoint: endpoint,
		name:       self.Name(),
		notices:    newNotices(),
		messages:   make(chan []byte, messageQueue),
		states:     make(chan wire.State, stateQueue),
		duplicates: make(chan Duplicate, 16),
		metaNews:   make(chan struct{}, 1),
		long:       make(chan longMessage, longQueue),
		identity:   id,
		limits:     newLimits(),
		inquiries:  newPending[inquiry](maxInquiries),
		asked:      make(chan received, inquiryQueue),
		tells:      says,
		checkups:   newPending[checkup](maxCheckups),
		replies:    make(chan longMessage, checkupQueue),
		prober:     prober{open: map[string]time.Time{}},
		started:    time.Now(),
		paths:      newReturnPaths(endpoint),

		messageRoom: newRoom(messageBytes), stateRoom: newRoom(stateBytes), longRoom: newRoom(longBytes),
	}
	g.members = newMembers(self.Node, self.Network)
	g.questions = newQuestions(g.members.lag)
	g.about.Store(&self)
	g.SetState(nil, nil)
	g.broadcasts = newBroadcastQueue(func() int { return g.members.size() + 1 })
	t.serve(g)
	return g
}

// Start makes the member. Others hear about it with the first join. After an
// error nothing is left of the agent, nor of its transport.
func (g *Agent) Start() error {
	list, err := memberlist.Create(g.config())
	if err != nil {
		_ = g.transport.Shutdown()
		return newError(BadConfig, "start gossip: %v", err)
	}
	g.list = list
	for range longSenders {
		g.workers.Go(g.sendLongs)
	}
	g.workers.Go(g.answerCheckups)
	return nil
}

func (g *Agent) config() *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name = g.name
	c.Transport = g.transport
	c.BindPort = int(g.transport.local.Port())
	c.AdvertiseAddr, c.AdvertisePort = g.endpoint.Addr().String(), int(g.endpoint.Port())
	c.TCPTimeout = streamTimeout
	c.ProbeInterval, c.ProbeTimeout = probeInterval, probeTimeout
	c.SuspicionMult, c.SuspicionMaxTimeoutMult = suspicionMult, suspicionMaxMult
	c.GossipInterval, c.GossipNodes, c.RetransmitMult = gossipInterval, gossipNodes, retransmitMult
	c.GossipToTheDeadTime = gossipToDead
	c.AwarenessMaxMultiplier = awareness
	c.PushPullInterval = pushPullInterval
	c.HandoffQueueDepth = handoffQueue
	c.UDPBufferSize = wire.PacketSize - wire.EnvelopeSize - wire.SealSize
	c.EnableCompression = false // label, key and checks are the gate's
	d := delegate{g}
	c.Delegate, c.Events, c.Alive, c.Merge, c.Ping = d, d, d, d, d
	c.Logger = log.New(gossipLog{g}, "", 0)
	return c
}

// Endpoint is where other nodes reach this one.
func (g *Agent) Endpoint() netip.AddrPort { return g.endpoint }

// Local is what the agent's transport is bound to.
func (g *Agent) Local() netip.AddrPort { return g.transport.Local() }

// Network is the network that the member is in, zero while it is in none.
func (g *Agent) Network() record.NetworkID { return g.about.Load().Network }

// Run watches for duplicates of this node, and hands the live ones to found.
// It also spreads what is new in this node's meta, and reports to members that
// ask. It ends with ctx.
func (g *Agent) Run(ctx context.Context, found chan<- Duplicate) {
	var all sync.WaitGroup
	all.Go(func() { g.watchDuplicates(ctx, found) })
	all.Go(func() { g.spreadMeta(ctx) })
	all.Go(func() { g.answerInquiries(ctx) })
	all.Wait()
}

// metaTimeout bounds how long memberlist waits for its own broadcast.
const metaTimeout = 500 * time.Millisecond

// spreadMeta tells other members what is new in ours, until ctx ends.
func (g *Agent) spreadMeta(ctx context.Context) {
	for {
		select {
		case <-g.metaNews:
			// The error only says that the broadcast was not out in time; it
			// stays queued.
			_ = g.list.UpdateNode(metaTimeout)
		case <-ctx.Done():
			return
		}
	}
}

// Leave lets what is queued go out, and announces that this node leaves. It
// takes two seconds at most. [Agent.Stop] is still to be called.
func (g *Agent) Leave() {
	sent := make(chan struct{})
	go func() { // ends with the sends, at the latest when Stop has closed their streams
		g.unsent.Wait()
		close(sent)
	}()
	select {
	case <-sent:
	case <-time.After(leaveSends):
	}
	if err := g.list.Leave(leaveGossip); err != nil {
		g.log.Debug("gossip: farewell not out in time", "err", err)
	}
}

// Bounds of a farewell. What is not heard now, other nodes tell each other
// later.
const (
	leaveSends  = time.Second
	leaveGossip = time.Second
)

// Stop takes the member down without a word, as if the process had been killed:
// its lease stays, and so does its route. It ends all that the agent has
// started, except for a probe of memberlist under way, which ends within
// seconds.
func (g *Agent) Stop() {
	_ = g.list.Shutdown()
	close(g.long)
	g.workers.Wait()
}

// Enter puts this node into a network, and announces that. Members of other
// networks, which may have come in before, are removed.
func (g *Agent) Enter(network record.NetworkID, prefix netip.Prefix) {
	about := *g.about.Load()
	about.Network, about.Prefix = network, prefix
	about.Version++
	g.about.Store(&about)
	for _, a := range g.members.leaveTo(network) {
		g.accuse(wire.TypeDead, a)
	}
	notify(g.metaNews)
}

// SetState sets what the next exchange says: our identity, and the core's
// state, whole in a join and brief otherwise.
func (g *Agent) SetState(state, brief []byte) {
	whole := wire.EncodeState(*g.about.Load(), g.identity, state)
	short := wire.EncodeState(*g.about.Load(), g.identity, brief)
	g.state.Store(&whole)
	g.brief.Store(&short)
}

// mayCall reports whether a stranger may open another stream now.
func (g *Agent) mayCall(from netip.Addr) bool { return g.limits.calls.take(from, time.Now()) }

// maySend reports whether n more bytes of a stranger's streams are read.
func (g *Agent) maySend(n int, from netip.Addr) bool {
	return g.limits.callBytes.takeMany(n, from, time.Now())
}

// refuse counts a refused stream of a host, and logs it.
func (g *Agent) refuse(err error, from netip.Addr) {
	g.refused.Add(1)
	g.log.Debug("gossip: stream refused", "from", from, "err", err)
	g.notice(err, from, time.Now())
}

func (g *Agent) knows(addr netip.Addr) bool { return g.members.isMemberAddr(addr) }

func (g *Agent) ring() *wire.Keyring { return g.keyring }
