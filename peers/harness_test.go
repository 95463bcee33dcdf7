// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"flanneld/peers/internal/gossip"
	"flanneld/peers/internal/gossip/wire"
)

// atOnce is how many tests run at a time: what they do is wait, for the most
// part.
const atOnce = 24

// The files of a state directory.
const (
	identityFile = "identity"
	leaseFile    = "lease"
	tableFile    = "nodes"
)

// TestMain fails when a goroutine is left after the tests. memberlist's probe
// loop looks up only when its probe is over: it gets that long.
func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", strconv.Itoa(atOnce))
	code := m.Run() // parses the flags: -parallel goes before this
	err := goleak.Find()
	for late := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(late); err = goleak.Find() {
	}
	if err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// waitAtMost is how long a test waits for what should come within seconds.
const waitAtMost = 60 * time.Second

// Each node of the test binary has a loopback address of its own: on Linux all
// of 127/8 is this host. Net and port are random, so that two runs do not meet;
// the port is below those the kernel hands out.
var (
	hosts    atomic.Uint32
	hostNet  = [2]byte{127, byte(64 + rand.IntN(128))}
	testPort = uint16(20000 + rand.IntN(10000))
)

func nextHost() netip.Addr {
	n := hosts.Add(1)
	return netip.AddrFrom4([4]byte{hostNet[0], hostNet[1], byte(n >> 8), byte(n)})
}

// gossip is the address a host's gossip is at.
func (h *host) gossip() string { return h.endpoint().String() }

func (h *host) endpoint() netip.AddrPort {
	return netip.AddrPortFrom(h.config.Advertise, h.config.GossipPort)
}

// logBuffer collects a node's log.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// host is a machine of a test: a state directory and an address, and at most
// one node running.
type host struct {
	t        *testing.T
	config   Config
	sockets  gossip.Sockets  // nil: the kernel's
	resolver gossip.Resolver // nil: the system's
	speaks   wire.Versions   // zero: this program's
	log      *logBuffer
	node     *Node
	cancel   context.CancelFunc
	result   chan error
}

// newHost makes a machine; edit, which may be nil, changes its configuration.
func newHost(t *testing.T, edit func(*Config)) *host {
	t.Helper()
	h := &host{t: t, log: &logBuffer{}}
	addr := nextHost()
	h.config = Config{
		StateDir: filepath.Join(t.TempDir(), "state"), Advertise: addr, Bind: addr, GossipPort: testPort, DataPort: 8285,
		Name: fmt.Sprintf("host-%d", addr.As4()[3]), MTU: 1472,
		Logger: slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelInfo})),
	}
	if edit != nil {
		edit(&h.config)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", addr, h.log)
		}
	})
	return h
}

// joining makes a configuration join the given hosts.
func joining(others ...*host) func(*Config) {
	return func(c *Config) {
		for _, o := range others {
			c.Join = append(c.Join, o.gossip())
		}
	}
}

// founderHost runs a node that founds a network, until it has its lease.
func founderHost(t *testing.T) (*host, netip.Prefix) {
	t.Helper()
	h := newHost(t, nil)
	h.start()
	return h, h.leased()
}

// joinedHost runs a node that joins others, until it has its lease.
func joinedHost(t *testing.T, others ...*host) (*host, netip.Prefix) {
	t.Helper()
	h := newHost(t, joining(others...))
	h.start()
	return h, h.leased()
}

// start opens and runs the node; the test's end stops it.
func (h *host) start() {
	h.t.Helper()
	node, err := Open(h.config)
	if err != nil {
		h.t.Fatalf("open: %v", err)
	}
	if h.sockets != nil {
		node.sockets, node.dir.Replace = h.sockets, replaceQuickly
	}
	if h.speaks != (wire.Versions{}) {
		node.speaks = h.speaks
	}
	if h.resolver != nil {
		node.resolver = h.resolver
	}
	h.run(node)
}

// replaceQuickly replaces a file without waiting for the disk: what is
// simulated is the network.
func replaceQuickly(path string, content []byte) error {
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// run runs an opened node.
func (h *host) run(node *Node) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h.node, h.cancel, h.result = node, cancel, make(chan error, 1)
	go func() { h.result <- node.Run(ctx) }()
	h.t.Cleanup(cancel)
	h.t.Cleanup(func() {
		cancel()
		<-node.ended
	})
}

// stop ends the node as SIGTERM does, and wants no error.
func (h *host) stop() {
	h.t.Helper()
	h.cancel()
	if err := h.wait(); err != nil {
		h.t.Fatalf("run: %v", err)
	}
}

// wait returns what Run returned.
func (h *host) wait() error {
	h.t.Helper()
	select {
	case err := <-h.result:
		return err
	case <-time.After(waitAtMost):
		h.t.Fatal("Run did not return")
	}
	return nil
}

// until waits for a snapshot for which ok is true, and returns it. It wakes
// with the node's changes.
func (h *host) until(what string, ok func(*Snapshot) bool) *Snapshot {
	h.t.Helper()
	late := time.After(waitAtMost)
	look := time.NewTicker(50 * time.Millisecond) // durations move on without a change
	defer look.Stop()
	for {
		if s := h.node.Snapshot(); ok(s) {
			return s
		}
		select {
		case <-h.node.Changes():
		case <-look.C:
		case err := <-h.result:
			h.t.Fatalf("waiting until %s: Run returned %v", what, err)
		case <-late:
			h.t.Fatalf("waiting until %s: never; last: %+v", what, h.node.Snapshot())
		}
	}
}

// leased waits for the lease and returns it.
func (h *host) leased() netip.Prefix {
	h.t.Helper()
	return h.until("the lease is confirmed", func(s *Snapshot) bool { return s.Lease == Confirmed }).Self.Lease.Prefix
}

// sees waits until another host is in a state here.
func (h *host) sees(other *host, state State) NodeInfo {
	h.t.Helper()
	id := other.node.Snapshot().Self.ID
	var found NodeInfo
	h.until(fmt.Sprintf("%s is %s", other.config.Advertise, state), func(s *Snapshot) bool {
		for _, n := range s.Nodes {
			if n.ID == id && n.State == state {
				found = n
				return true
			}
		}
		return false
	})
	return found
}

// seesHolding waits until another host is alive here and holds a lease.
func (h *host) seesHolding(other *host, lease netip.Prefix) {
	h.t.Helper()
	id := other.node.Snapshot().Self.ID
	h.until(fmt.Sprintf("%s holds %s", other.config.Advertise, lease), func(s *Snapshot) bool {
		for _, n := range s.Nodes {
			if n.ID == id {
				return n.State == Alive && n.Lease.Prefix == lease
			}
		}
		return false
	})
}

// logs waits until the host's log holds all of the texts.
func (h *host) logs(texts ...string) {
	h.t.Helper()
	late := time.After(waitAtMost)
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for _, text := range texts {
		for !strings.Contains(h.log.String(), text) {
			select {
			case <-look.C:
			case <-late:
				h.t.Fatalf("log never said %q", text)
			}
		}
	}
}

// keyFile writes a new cluster key and returns its path.
func keyFile(t *testing.T) string {
	t.Helper()
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
