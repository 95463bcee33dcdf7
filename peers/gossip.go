package peers

import (
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

// Gossip timings, for a local network of 2 to 1,000 nodes. A node that stops is probed within a second or two, suspected a second later
// (probeInterval), and declared dead after suspicionMult × max(1, log10 n) probe intervals once another one agrees: some 5 s after it stopped at
// up to 10 nodes, suspicionMaxMult times the last term where nobody agrees. What it takes to be declared dead while alive: not to answer,
// neither directly nor through three others nor over TCP, all that time. And then those that it does answer do not believe it: see doubt.go.
const (
	probeInterval    = time.Second
	probeTimeout     = 500 * time.Millisecond
	suspicionMult    = 3
	suspicionMaxMult = 3
	gossipInterval   = 50 * time.Millisecond
	gossipNodes      = 4
	retransmitMult   = 4 // how often one node tells a rumour: times the digits of the number of nodes
	// gossipToDead is how long the dead are still told of their death, so that one that was only paused refutes it.
	gossipToDead = time.Minute
	// awareness turns memberlist's doubt of itself off. With it a node that
	// misses acknowledgements probes up to eight times more rarely. When
	// half of a network loses its power, the other half would notice after
	// 20 to 50 s. What it protects from, a node that is slow itself and
	// takes others for dead, doubt.go does better: it asks them.
	awareness        = 1
	pushPullInterval = 30 * time.Second
	streamTimeout    = 5 * time.Second
	handoffQueue     = 4096 // datagrams taken in and not yet handled
	// suspectFor is how long a failed probe of ours marks a member: the longest a suspicion lasts at 10 nodes.
	suspectFor = suspicionMult * suspicionMaxMult * probeInterval
)

// Limits between gossip's goroutines and the core's.
const (
	maxDatagram     = 1232 // bytes of a frame: 1,280 with all headers; a longer one goes by stream
	newcomerFor     = 30 * time.Second
	messageQueue    = 4096
	stateQueue      = 64
	reliableQueue   = 256
	reliableWorkers = 4
	// What the queues may hold in bytes. A state of 8,192 nodes has 8 MB.
	messageBytes  = 8 << 20
	stateBytes    = 16 << 20
	reliableBytes = 16 << 20
)

// gossip is this node's member in memberlist, and all that memberlist calls.
type gossip struct {
	log       *slog.Logger
	transport *transport
	list      *memberlist.Memberlist
	roster    *roster
	keyring   *wire.Keyring // nil: not sealed
	identity  record.Identity
	limits    limits
	questions *questions
	limited   atomic.Uint64  // datagrams over a limit
	refused   atomic.Uint64  // datagrams that made no sense or were not for us
	name      string         // our member name
	endpoint  netip.AddrPort // where others reach us
	notices   *notices

	about atomic.Pointer[wire.Meta] // ours
	state atomic.Pointer[[]byte]    // what we say in a join
	brief atomic.Pointer[[]byte]    // what we say in any other push/pull

	rumours   *rumours
	messages  chan []byte
	states    chan wire.State
	namesakes chan namesake
	dropped   atomic.Uint64 // messages and states for which there was no room
	// What messages, states and reliable hold, in bytes.
	messageRoom, stateRoom, reliableRoom room
	reliable                             chan reliableSend
	workers                              sync.WaitGroup
	unsent                               sync.WaitGroup // reliable sends queued or under way

	// The core's goroutine has these.
	started time.Time
	paths   *returnPaths
	prober  prober
}

type reliableSend struct {
	to  memberlist.Node
	msg []byte
}

// newGossip makes everything but the member itself, which start does. It owns t from then on.
func newGossip(t *transport, self wire.Meta, id record.Identity, keyring *wire.Keyring, logger *slog.Logger) *gossip {
	endpoint := self.At
	g := &gossip{
		log: logger, transport: t, keyring: keyring, endpoint: endpoint,
		name:      self.Name(),
		notices:   newNotices(),
		messages:  make(chan []byte, messageQueue),
		states:    make(chan wire.State, stateQueue),
		namesakes: make(chan namesake, 16),
		reliable:  make(chan reliableSend, reliableQueue),
		identity:  id,
		limits:    newLimits(),
		questions: newQuestions(),
		prober:    prober{open: map[string]time.Time{}},
		started:   time.Now(),
		paths:     newReturnPaths(endpoint),

		messageRoom: newRoom(messageBytes), stateRoom: newRoom(stateBytes), reliableRoom: newRoom(reliableBytes),
	}
	g.roster = newRoster(self.Node, suspectFor)
	g.about.Store(&self)
	g.setState(nil, nil)
	g.rumours = newRumours(func() int { return g.roster.size() + 1 })
	t.begin(g)
	return g
}

// start makes the member. Others hear of it with the first join.
func (g *gossip) start() error {
	list, err := memberlist.Create(g.config())
	if err != nil {
		_ = g.transport.Shutdown()
		return failure(ErrConfig, "start gossip: %v", err)
	}
	g.list = list
	for range reliableWorkers {
		g.workers.Go(g.sendReliably)
	}
	return nil
}

func (g *gossip) config() *memberlist.Config {
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

// stop takes the member down without a word, as if it had been killed: its lease stays, and so does its route.
func (g *gossip) stop() {
	_ = g.list.Shutdown()
	close(g.reliable)
	g.workers.Wait()
}

// enter has this node be in a network. Members of other networks, which may have
// come in before, are put out.
func (g *gossip) enter(network record.NetworkID, prefix netip.Prefix) {
	about := *g.about.Load()
	about.Network, about.Prefix = network, prefix
	about.Version++
	g.about.Store(&about)
	for _, a := range g.roster.leaveTo(network) {
		g.tell(wire.TypeDead, a)
	}
}

// setState sets what the next push/pull says: our identity, and the core's
// state, whole in a join and brief otherwise.
func (g *gossip) setState(state, brief []byte) {
	whole := wire.EncodeState(*g.about.Load(), g.identity, state)
	short := wire.EncodeState(*g.about.Load(), g.identity, brief)
	g.state.Store(&whole)
	g.brief.Store(&short)
}

// send carries a message to a node, if it is a member now or has just written to us. It does not wait; what there is no room for is
// dropped and counted, as what the network loses is: the core asks again. Only the core's goroutine calls it.
func (g *gossip) send(to record.NodeID, at netip.AddrPort, msg []byte) {
	pad := 0
	if time.Since(g.started) < newcomerFor {
		pad = newcomerFrame
	}
	b := wire.EncodeDirect(g.about.Load().Node, g.endpoint, msg, pad)
	m, ok := g.roster.of(to)
	switch {
	case !ok:
		g.sendBack(to, at, b)
	case len(b) <= maxDatagram:
		if err := g.list.SendBestEffort(&m.node, b); err != nil {
			g.log.Debug("gossip: datagram not sent", "to", m.endpoint(), "err", err)
		}
	default:
		g.sendLong(m, b)
	}
}

// sendBack answers a node that gossip has not named to us yet. It answers at
// the endpoint in the node record, where that is known, else at the one that
// the frame names.
func (g *gossip) sendBack(to record.NodeID, at netip.AddrPort, b []byte) {
	from, ok := g.paths.take(to, len(b), time.Now())
	if !at.IsValid() {
		at = from
	}
	if ok && len(b) <= maxDatagram {
		if err := g.list.SendToAddress(memberlist.Address{Addr: at.String()}, b); err != nil {
			g.log.Debug("gossip: datagram not sent", "to", at, "err", err)
		}
	}
}

// sendLong has a message sent as a stream.
func (g *gossip) sendLong(m member, b []byte) {
	if !g.reliableRoom.take(len(b)) {
		g.dropped.Add(1)
		return
	}
	g.unsent.Add(1)
	select {
	case g.reliable <- reliableSend{m.node, b}:
	default:
		g.unsent.Done()
		g.reliableRoom.give(len(b))
		g.dropped.Add(1)
	}
}

// sendReliably sends long messages until stop.
func (g *gossip) sendReliably() {
	for s := range g.reliable {
		if err := g.list.SendReliable(&s.to, s.msg); err != nil {
			g.log.Debug("gossip: stream not sent", "to", s.to.Address(), "err", err)
		}
		g.reliableRoom.give(len(s.msg))
		g.unsent.Done()
	}
}

// notTaken is how many messages, datagrams and streams were not taken in.
func (g *gossip) notTaken() uint64 {
	return g.dropped.Load() + g.limited.Load() + g.refused.Load() + g.transport.overLimit()
}

// mayCall reports whether a stranger may open another stream now.
func (g *gossip) mayCall(from netip.Addr) bool { return g.limits.calls.take(from, time.Now()) }

// refuse notes that a stream of a host was refused.
func (g *gossip) refuse(err error, from netip.Addr) {
	g.refused.Add(1)
	g.log.Debug("gossip: stream refused", "from", from, "err", err)
	g.notice(err, from, time.Now())
}

func (g *gossip) knows(addr netip.Addr) bool { return g.roster.isMemberAddr(addr) }

func (g *gossip) ring() *wire.Keyring { return g.keyring }

// broadcast has a message told to everyone, a few nodes at a time; a newer one with its key takes its place.
func (g *gossip) broadcast(key string, msg []byte) { g.rumours.put(key, wire.EncodeBroadcast(msg)) }
