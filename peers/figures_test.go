// SPDX-License-Identifier: Apache-2.0

//go:build !race

package peers

import (
	"crypto/ed25519"
	cryptorand "crypto/rand"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/record"
	"flanneld/peers/internal/statedir"
)

// TestFigures measures what a network of some size does, in virtual time, and
// holds it against what is promised. FLANNELD_SCALE says how many nodes, blanks
// between; `make scale` prints the figures.
func TestFigures(t *testing.T) {
	sizes := os.Getenv("FLANNELD_SCALE")
	if sizes == "" {
		sizes = "3 10"
	}
	for size := range strings.FieldsSeq(sizes) {
		n, err := strconv.Atoi(size)
		if err != nil || n < 2 {
			t.Fatalf("FLANNELD_SCALE: %q is no number of nodes", size)
		}
		t.Run(size, func(t *testing.T) {
			real := time.Now()
			virtually(t, func(t *testing.T) { figuresOf(t, n) })
			t.Logf("%s nodes: measured in %v", size, time.Since(real).Round(time.Second))
		})
	}
}

const (
	changesFor = 30 * time.Second // while changes are made
	changeGap  = 200 * time.Millisecond
)

func figuresOf(t *testing.T, n int) {
	before := heap()
	c := powerCut(t, n)
	start := time.Now()
	c.startAll()
	c.converge(5 * time.Minute)
	t.Logf("%d nodes: all started after a power cut, tables equal and all alive after %v", n, time.Since(start).Round(100*time.Millisecond))

	time.Sleep(time.Minute) // the broadcasts of the start have ended
	memory := (heap() - before) / uint64(n)
	sent := c.net.traffic()
	period := pushPullPeriod(n)
	time.Sleep(period)
	rate := float64(c.net.traffic()-sent) / float64(n) / period.Seconds()
	t.Logf("%d nodes: at rest a node holds %.1f MB of heap and sends %.1f kB/s", n, float64(memory)/1e6, rate/1e3)

	took := c.changes()
	t.Logf("%d nodes: a change is known to one of them after %v (p50), %v (p99); to all after %v (p50), %v (p99), %v at most", n,
		share(took.each, 50), share(took.each, 99), share(took.all, 50), share(took.all, 99), share(took.all, 100))
	if limit := 64e6; float64(memory) > limit {
		t.Errorf("%d bytes of heap a node, the limit is %.0f", memory, limit)
	}
	if rate > 50e3 {
		t.Errorf("%.0f bytes/s a node at rest", rate)
	}
	if n <= 100 && (share(took.all, 50) > 500*time.Millisecond || share(took.all, 99) > 2*time.Second) {
		t.Error("changes take too long")
	}
	c.end()
}

// pushPullPeriod is how often a member of n exchanges its full state with
// another: memberlist does so the more rarely the more there are, beyond 32
// (v0.7.0). A network at rest is looked at for that long.
func pushPullPeriod(n int) time.Duration {
	return 30 * time.Second * time.Duration(max(1, 1+math.Ceil(math.Log2(float64(n)/32))))
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// share is a percentile.
func share(all []time.Duration, percent int) time.Duration {
	slices.Sort(all)
	return all[(len(all)-1)*percent/100].Round(time.Millisecond)
}

// spread is how long changes took to get about: to each node, and to the last
// one.
type spread struct{ each, all []time.Duration }

// change is news of one node: the data port that it announces from now on.
type change struct {
	id      NodeID
	port    uint16
	made    time.Time
	waiting []*host
}

// changes has one node after another announce something new, and watches it get
// about.
func (c *cluster) changes() spread {
	var took spread
	var open []*change
	random := rand.New(rand.NewPCG(1, 1))
	next := time.Now()
	for end := next.Add(changesFor); time.Now().Before(end) || len(open) > 0; time.Sleep(10 * time.Millisecond) {
		if now := time.Now(); now.Before(end) && !now.Before(next) {
			open = append(open, c.change(c.hosts[random.IntN(len(c.hosts))], uint16(9000+len(took.all)+len(open))))
			next = now.Add(changeGap)
		}
		for _, ch := range open {
			ch.look(&took)
		}
		open = slices.DeleteFunc(open, func(ch *change) bool { return len(ch.waiting) == 0 })
		if time.Since(next) > time.Minute {
			c.Fatalf("%d changes are not known everywhere after a minute", len(open))
		}
	}
	return took
}

func (c *cluster) change(h *host, port uint16) *change {
	e := h.node.engine.Load()
	ch := &change{id: e.core.ID(), port: port, made: time.Now(), waiting: slices.Clone(c.hosts)}
	err := h.node.do(c.Context(), e, func() error {
		at := e.gossip.Endpoint()
		e.core.SetAddress(e.now(), netip.AddrPortFrom(at.Addr(), port), at)
		return nil
	})
	if err != nil {
		c.Fatal(err)
	}
	return ch
}

// look notes which nodes have learned about the change, or about
// a later one of the same node.
func (ch *change) look(took *spread) {
	ch.waiting = slices.DeleteFunc(ch.waiting, func(h *host) bool {
		for _, n := range h.node.Snapshot().Nodes {
			if n.ID == ch.id && n.Endpoint.Port() >= ch.port {
				took.each = append(took.each, time.Since(ch.made))
				return true
			}
		}
		return false
	})
	if len(ch.waiting) == 0 {
		took.all = append(took.all, time.Since(ch.made))
	}
}

// powerCut makes the machines of a network that had n nodes until a moment ago:
// each has its identity, its lease and the table on its disk. Claiming n leases
// one by one is what TestMassStart does, and takes its time.
func powerCut(t *testing.T, n int) *cluster {
	t.Helper()
	c := &cluster{T: t, net: newVnet(uint64(n))}
	origin := newCore(t, core.Config{MayFound: true, Want: record.Network{Prefix: netip.MustParsePrefix("10.0.0.0/8"), SubnetLen: 24}})
	origin.core.Leave(0)
	origin.settle(0)
	var all []*madeCore
	for i := range n {
		h := c.add(nil)
		h.log = &logBuffer{}
		h.config.Logger = slog.New(slog.DiscardHandler)
		endpoint := netip.AddrPortFrom(h.config.Advertise, h.config.DataPort)
		m := newCore(t, core.Config{
			Name: h.config.Name, Endpoint: endpoint, Gossip: netip.AddrPortFrom(h.config.Advertise, h.config.GossipPort), MTU: 1472,
			Pin: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte((i + 1) >> 8), byte(i + 1), 0}), 24),
		})
		m.claim(origin.core.State())
		all = append(all, m)
	}
	for i, m := range all[1:] { // each has begun alone, and such leases are taken at one a minute
		now := core.Time(i) * time.Minute
		all[0].core.MemberUp(now, m.core.ID())
		if err := all[0].core.Merge(now, m.core.ID(), m.core.State()); err != nil {
			t.Fatal(err)
		}
	}
	for i, h := range c.hosts {
		all[i].keep(h.config.StateDir, all[0].core.State())
	}
	return c
}

// madeCore is a core without others, to make state that a node
// can start from.
type madeCore struct {
	t     *testing.T
	core  *core.Core
	id    record.Identity
	vault []byte
}

func newCore(t *testing.T, cfg core.Config) *madeCore {
	t.Helper()
	_, key, err := ed25519.GenerateKey(cryptorand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	m := &madeCore{t: t, id: record.Identity{Key: key}}
	cfg.Identity, cfg.Rand, cfg.LeaseTTL = m.id, rand.New(rand.NewPCG(1, 1)), DefaultLeaseTTL
	if !cfg.Endpoint.IsValid() {
		cfg.Endpoint, cfg.Gossip = netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2")
	}
	if m.core, err = core.New(cfg, nil, nil); err != nil {
		t.Fatal(err)
	}
	m.core.Start(0)
	m.core.Approve(0)
	m.settle(0)
	return m
}

// settle writes what the core wants written, until it wants no more.
func (m *madeCore) settle(now core.Time) {
	for {
		save := m.core.Effects().Save
		if save == nil {
			return
		}
		m.vault = save.Durable
		m.core.Saved(now, save.Token, nil)
	}
}

// claim takes in the state of a network where no node holds a lease. There a
// node confirms its own, after a while.
func (m *madeCore) claim(state []byte) {
	if err := m.core.Merge(0, record.NodeID{}, state); err != nil {
		m.t.Fatal(err)
	}
	m.core.Joined(0)
	m.core.Approve(0)
	for now := core.Time(0); now < 10*time.Second; now += 500 * time.Millisecond {
		m.core.Tick(now)
		m.settle(now)
	}
}

// keep writes a state directory for the node to start from.
func (m *madeCore) keep(dir string, table []byte) {
	m.t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		m.t.Fatal(err)
	}
	identity, err := statedir.EncodeIdentity(m.id)
	if err != nil {
		m.t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		identityFile: identity, leaseFile: statedir.LeaseFile.Encode(m.vault), tableFile: statedir.TableFile.Encode(table),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
}
