// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// list is a source that names the same addresses each time.
type list struct {
	mu    sync.Mutex
	addrs []string
	err   error
	asked int
}

func (l *list) String() string { return "list" }

func (l *list) Seeds(context.Context) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	return append([]string(nil), l.addrs...), l.err
}

func (l *list) questions() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// ballot elects the first node that asks.
type ballot struct {
	founder atomic.Pointer[NodeID]
	asked   atomic.Int64
}

func (b *ballot) MayFound(_ context.Context, id NodeID, at netip.AddrPort) (bool, string, error) {
	b.asked.Add(1)
	if !at.IsValid() {
		return false, "", fmt.Errorf("%w: no endpoint", ErrConfig)
	}
	b.founder.CompareAndSwap(nil, &id)
	return *b.founder.Load() == id, "another node founds it", nil
}

// Ten nodes that know each other from a source, and nothing else, start at
// once. One founds a network, and all are in it.
func TestTenNodesThatStartAtOnceFindOneNetwork(t *testing.T) {
	t.Parallel()
	votes, names := &ballot{}, &list{}
	var hosts []*host
	for range 10 {
		h := newHost(t, func(c *Config) { c.Election = votes })
		hosts = append(hosts, h)
		names.addrs = append(names.addrs, h.gossip())
	}
	sources := map[*host]*list{}
	for _, h := range hosts {
		sources[h] = &list{addrs: names.addrs}
		h.config.Sources = []Source{sources[h]}
	}
	began := time.Now()
	for _, h := range hosts {
		h.start()
	}
	leases := map[netip.Prefix]bool{}
	for _, h := range hosts {
		leases[h.leased()] = true
		if a, b := h.node.Snapshot().Network, hosts[0].node.Snapshot().Network; a != b {
			t.Fatalf("two networks: %v and %v", a, b)
		}
	}
	t.Logf("ten leases after %s, %d questions to the election", time.Since(began).Round(10*time.Millisecond), votes.asked.Load())
	if len(leases) != 10 {
		t.Errorf("10 nodes hold %v", leases)
	}
	founded := 0
	for _, h := range hosts {
		founded += strings.Count(h.log.String(), "founding a network")
	}
	if founded != 1 {
		t.Errorf("%d nodes founded", founded)
	}

	// A source is asked only while no seed answers, and a node that is started
	// again is in its network: it asks no election.
	questions := sources[hosts[3]].questions()
	asked := votes.asked.Load()
	hosts[4].stop()
	hosts[4].config.Sources = []Source{&list{err: errors.New("the API is away")}}
	hosts[4].start()
	hosts[4].leased()
	time.Sleep(3 * time.Second)
	if n := sources[hosts[3]].questions(); n != questions {
		t.Errorf("the source was asked %d times more, with nine nodes up", n-questions)
	}
	if n := votes.asked.Load(); n != asked {
		t.Errorf("the election was asked %d times more after all had joined", n-asked)
	}
}

// A node whose source names none, or cannot be asked, waits and says why.
func TestANodeWithASourceFoundsNothing(t *testing.T) {
	t.Parallel()
	none := netip.AddrPortFrom(nextHost(), testPort).String()
	other := netip.AddrPortFrom(nextHost(), testPort).String()
	itself := &list{}
	for says, source := range map[string]*list{
		"it names no node":              {},
		"the API is away":               {err: errors.New("the API is away")},
		`seed "a b"`:                    {addrs: []string{"a b"}},
		"connection refused":            {addrs: []string{none}},
		"none of 2 nodes answers; 127.": {addrs: []string{none, other}},
		"it names no node but this one": itself,
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, nil)
			if source == itself {
				source.addrs = []string{h.gossip()}
			}
			h.config.Sources = []Source{source}
			h.start()
			h.logs("seed cannot be joined", "seed=list")
			s := h.until("it says what it waits for", func(s *Snapshot) bool { return strings.Contains(s.Waiting, says) })
			if s.Lease != Joining || s.Network.Prefix.IsValid() {
				t.Errorf("%v in network %v", s.Lease, s.Network)
			}
		})
	}
}

// waits says that another node founds, until it is elected itself.
type waits struct {
	elected atomic.Bool
	err     atomic.Pointer[error]
}

func (w *waits) MayFound(context.Context, NodeID, netip.AddrPort) (bool, string, error) {
	if err := w.err.Load(); err != nil {
		return false, "", *err
	}
	return w.elected.Load(), "node a founds it", nil
}

func TestWhatAnElectionWaitsForIsSaid(t *testing.T) {
	t.Parallel()
	w := &waits{}
	h := newHost(t, func(c *Config) { c.Election, c.Sources = w, []Source{&list{}} })
	h.start()
	h.until("it names the founder", func(s *Snapshot) bool { return strings.Contains(s.Waiting, "node a founds it") })
	away := errors.New("the API is away")
	w.err.Store(&away)
	h.until("it says what is wrong", func(s *Snapshot) bool { return strings.Contains(s.Waiting, "the API is away") })
	w.err.Store(nil)
	w.elected.Store(true)
	lease := h.leased()

	// The founder is in its network when it is started again, and asks
	// neither.
	h.stop()
	wrong := fmt.Errorf("%w: asked again", ErrConfig)
	w.err.Store(&wrong)
	h.start()
	if again := h.leased(); again != lease {
		t.Errorf("lease %s, then %s", lease, again)
	}
}

func TestAnElectionThatCannotBeRightEndsTheNode(t *testing.T) {
	t.Parallel()
	w := &waits{}
	wrong := fmt.Errorf("%w: the Lease is of network 10.9.0.0/16", ErrConfig)
	w.err.Store(&wrong)
	h := newHost(t, func(c *Config) { c.Election, c.Sources = w, []Source{&list{}} })
	h.start()
	if err := h.wait(); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "10.9.0.0/16") {
		t.Errorf("Run returned %v", err)
	}
}

// The network is read from disk, also while the node runs.
func TestTheKnownNetworkIsThatOfTheDisk(t *testing.T) {
	t.Parallel()
	want := func(dir string, network netip.Prefix) {
		t.Helper()
		if got, err := Peek(dir); got.Network != network || err != nil || got.Pinned {
			t.Errorf("%+v, %v; want %v", got, err, network)
		}
	}
	third := newHost(t, func(c *Config) { c.Subnet = netip.MustParsePrefix("10.244.0.0/24") })
	third.start()
	third.leased()
	if got, err := Peek(third.config.StateDir); got.Network != DefaultNetwork || err != nil || !got.Pinned {
		t.Errorf("%+v, %v; want a pinned lease", got, err)
	}
	h := newHost(t, func(c *Config) { c.Sources = []Source{&list{}} })
	want(h.config.StateDir, netip.Prefix{})
	h.start()
	h.logs("seed cannot be joined") // its start is on disk, and no network
	want(h.config.StateDir, netip.Prefix{})
	first, lease := founderHost(t)
	want(first.config.StateDir, DefaultNetwork)
	for dir, subnet := range map[string]netip.Prefix{third.config.StateDir: third.config.Subnet, h.config.StateDir: {}, first.config.StateDir: lease} {
		if got, err := Peek(dir); got.Subnet != subnet || err != nil {
			t.Errorf("a lease of %v, %v; want %v", got, err, subnet)
		}
	}
	file := filepath.Join(first.config.StateDir, leaseFile)
	first.stop()
	if err := os.WriteFile(file, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	want(first.config.StateDir, netip.Prefix{}) // Open says what is wrong
	if got, err := Peek(first.config.StateDir); got.Subnet.IsValid() || err != nil {
		t.Errorf("a damaged file has the lease %v, %v", got, err)
	}
	if _, err := Peek(filepath.Join(file, "state")); !errors.Is(err, ErrState) {
		t.Errorf("a directory that cannot be read: %v", err)
	}
}
