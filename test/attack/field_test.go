// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package attack

import (
	"crypto/ed25519"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"flanneld/test/lab"
)

// The bounds of what a stranger may make one node use beyond rest.
const (
	memoryBound = 64.0 // MB
	cpuBound    = 0.1  // of a core
)

// field is a network of three daemons with a stranger on their underlay.
type field struct {
	lab      *lab.Lab
	args     []string // of the daemons
	hosts    []*lab.Host
	stranger *Stranger
	network  [16]byte
	prefix   netip.Prefix
	members  []memberState // as the founder told the stranger
	state    []byte        // the same
}

// newField makes a network with a stranger. The stranger has asked the founder
// for its state, as any program that reaches the gossip port of an unsealed
// network can.
func newField(t *testing.T, args ...string) *field {
	t.Helper()
	l := lab.New(t)
	h1, h2, h3 := l.Trio(args...)
	outsider := l.Host()
	f := &field{lab: l, args: args, hosts: []*lab.Host{h1, h2, h3}, stranger: NewStranger(t, outsider.Namespace, outsider.Addr)}
	f.prefix = netip.MustParsePrefix(h1.Status().Network.Prefix)
	return f
}

// learn asks the founder for members and network.
func (f *field) learn(t *testing.T) {
	t.Helper()
	r, err := f.stranger.Exchange(f.hosts[0].Addr, nil, nil)
	if err != nil {
		t.Fatalf("ask the founder: %v", err)
	}
	f.members, f.state = r.members, r.state
	for _, m := range r.members {
		if len(m.Meta) > metaNetwork+16 {
			f.network = [16]byte(m.Meta[metaNetwork:])
		}
	}
	if f.network == [16]byte{} {
		t.Fatalf("no network in what the founder says: %+v", r.members)
	}
}

// member is what gossip knows of a host, newest start first.
func (f *field) member(t *testing.T, h *lab.Host) memberState {
	t.Helper()
	for _, m := range f.members {
		if a, ok := netip.AddrFromSlice(m.Addr); ok && a.Unmap() == h.Addr && m.State == 0 {
			return m
		}
	}
	t.Fatalf("%s is no member: %+v", h.NodeName, f.members)
	return memberState{}
}

// phantom invents the alive message of a node that does not exist, at an
// address of the underlay. Every second one has a key and is signed by it.
func (f *field) phantom() []byte {
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 168, 50, byte(100 + rand.IntN(100))}), gossipPort)
	seed := make([]byte, ed25519.SeedSize)
	for i := range seed {
		seed[i] = byte(rand.Uint32())
	}
	public, key := ed25519.PublicKey(seed), f.stranger.Key
	if rand.IntN(2) == 0 {
		key = ed25519.NewKeyFromSeed(seed)
		public = key.Public().(ed25519.PublicKey)
	}
	about := memberMeta{public: public, start: 1, instance: rand.Uint64(), network: f.network, prefix: f.prefix, at: at}
	return aliveMessage(memberName(nodeID(public), 1), at, 1, about.encode(key))
}

// flood sends n phantoms to every host, ten in a datagram, within about the
// time given.
func (f *field) flood(t *testing.T, n int, within time.Duration) {
	t.Helper()
	const each = 4
	pause := within * each / time.Duration(n)
	next := time.Now()
	for range n / each {
		batch := make([][]byte, each)
		for i := range batch {
			batch[i] = f.phantom()
		}
		msg := compound(batch...)
		for _, h := range f.hosts {
			if err := f.stranger.Say(h.Addr, msg); err != nil {
				t.Fatal(err)
			}
		}
		next = next.Add(pause)
		time.Sleep(time.Until(next))
	}
}

// within fails the test if a daemon used more than a stranger may make it use.
func within(t *testing.T, what string, rest, attacked Cost) {
	t.Helper()
	more := attacked.Cores() - rest.Cores()
	t.Logf("%s: at rest %v; attacked %v; %+.1f MB, %+.3f of a core", what, rest, attacked, attacked.Grown(), more)
	if attacked.Grown() > memoryBound {
		t.Errorf("%s: memory rose by %.1f MB, at most %.0f are allowed", what, attacked.Grown(), memoryBound)
	}
	if more > cpuBound {
		t.Errorf("%s: %.3f of a core more than at rest, at most %.1f are allowed", what, more, cpuBound)
	}
}

// atRest measures the founder for some seconds without an attack.
func (f *field) atRest(t *testing.T) Cost {
	t.Helper()
	m := Watch(t, f.hosts[0].Daemon)
	time.Sleep(4 * time.Second)
	return m.Stop(t)
}

// healthy fails the test unless all hosts see all hosts alive with their
// subnets, and pods reach each other.
func (f *field) healthy(t *testing.T, leases []netip.Prefix) {
	t.Helper()
	for i, h := range f.hosts {
		if got := h.Lease(); got != leases[i] {
			t.Errorf("%s has %s, it had %s", h.NodeName, got, leases[i])
		}
		lab.Eventually(t, 20*time.Second, h.NodeName+" to see all hosts alive", func() error {
			nodes, err := h.Table()
			if err != nil {
				return err
			}
			for j, other := range f.hosts {
				n := nodes.Find(other.NodeName)
				if n.State != "alive" || n.Subnet != leases[j].String() {
					return lab.Expect(false, "%s is %s with %s", other.NodeName, n.State, n.Subnet)
				}
			}
			return nil
		})
	}
}

func (f *field) leases() []netip.Prefix {
	var all []netip.Prefix
	for _, h := range f.hosts {
		all = append(all, h.Lease())
	}
	return all
}
