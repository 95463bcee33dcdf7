// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"flanneld/peers/internal/statedir"
)

func TestFirstNodeFoundsAndNextOneJoins(t *testing.T) {
	t.Parallel()
	first, one := founderHost(t)
	second, two := joinedHost(t, first)
	if one == two || one.Overlaps(two) {
		t.Errorf("leases %s and %s", one, two)
	}
	first.seesHolding(second, two)
	if a, b := first.node.Snapshot().Network, second.node.Snapshot().Network; a != b || a.Prefix != DefaultNetwork {
		t.Errorf("networks %v and %v", a, b)
	}
}

func TestNodesJoiningTogetherGetDifferentLeases(t *testing.T) {
	t.Parallel()
	first := newHost(t, func(c *Config) { c.Network = netip.MustParsePrefix("10.9.0.0/21") })
	first.start()
	leases := map[netip.Prefix]bool{first.leased(): true}
	var others []*host
	for range 5 { // seven subnets: they will collide
		others = append(others, newHost(t, joining(first)))
	}
	for _, h := range others {
		h.start()
	}
	for _, h := range others {
		leases[h.leased()] = true
	}
	if len(leases) != 6 {
		t.Errorf("6 nodes hold %v", leases)
	}
}

func TestRestartKeepsTheLease(t *testing.T) {
	t.Parallel()
	first, _ := founderHost(t)
	second, lease := joinedHost(t, first)
	id := second.node.Snapshot().Self.ID
	second.stop()
	second.start()
	if again := second.leased(); again != lease || second.node.Snapshot().Self.ID != id {
		t.Errorf("lease %s, then %s", lease, again)
	}
	first.seesHolding(second, lease)
	first.until("it knows of the second start", func(s *Snapshot) bool {
		for _, n := range s.Nodes {
			if n.ID == id {
				return n.Start == 2
			}
		}
		return false
	})
}

func TestLeaseSurvivesAnotherAddress(t *testing.T) {
	t.Parallel()
	first, _ := founderHost(t)
	second, lease := joinedHost(t, first)
	second.stop()
	addr := nextHost()
	second.config.Advertise, second.config.Bind = addr, addr
	second.start()
	if again := second.leased(); again != lease {
		t.Errorf("lease %s, then %s", lease, again)
	}
	first.until("it knows the new address", func(s *Snapshot) bool {
		for _, n := range s.Nodes {
			if n.Endpoint.Addr() == addr {
				return n.State == Alive
			}
		}
		return false
	})
}

// After a power cut no node needs its seeds: the node tables name the others.
func TestNodesFindEachOtherAgainWithoutSeeds(t *testing.T) {
	t.Parallel()
	first, one := founderHost(t)
	second, two := joinedHost(t, first)
	first.sees(second, Alive)
	first.stop()
	second.stop()
	second.config.Join = []string{"127.41.0.1"} // no node is there
	second.start()
	if again := second.leased(); again != two {
		t.Errorf("lease %s, then %s while alone", two, again)
	}
	first.start()
	if again := first.leased(); again != one {
		t.Errorf("lease %s, then %s", one, again)
	}
	first.sees(second, Alive)
	second.sees(first, Alive)
}

func TestDeadNodeIsSeenWithinSecondsAndKeepsItsLease(t *testing.T) {
	t.Parallel()
	first, _ := founderHost(t)
	second, lease := joinedHost(t, first)
	first.seesHolding(second, lease)
	stopped := time.Now()
	second.stop()
	first.sees(second, Suspect)
	n := first.sees(second, Dead)
	if took := time.Since(stopped); took > 10*time.Second {
		t.Errorf("noticed after %s", took)
	}
	if n.Lease.Prefix != lease {
		t.Errorf("its lease is now %v", n.Lease)
	}
}

func TestLeaveFreesTheSubnet(t *testing.T) {
	t.Parallel()
	first, _ := founderHost(t)
	second, _ := joinedHost(t, first)
	first.sees(second, Alive)
	id := second.node.Snapshot().Self.ID
	ctx, cancel := context.WithTimeout(t.Context(), waitAtMost)
	defer cancel()
	if err := second.node.Leave(ctx); err != nil {
		t.Fatal(err)
	}
	if err := second.wait(); err != nil {
		t.Errorf("Run after Leave: %v", err)
	}
	first.until("it has left and holds nothing", func(s *Snapshot) bool { // two messages
		for _, n := range s.Nodes {
			if n.ID == id {
				return n.State == Left && !n.Lease.Prefix.IsValid()
			}
		}
		return false
	})
	if table, err := statedir.TableFile.Read(second.node.dir); err != nil || table == nil {
		t.Errorf("node table after Leave: %v: a node that comes back has to know the other lease holders", err)
	}
	told := strings.Count(first.log.String(), "node is alive")
	second.start()
	first.until("it says that it is back", func(*Snapshot) bool { return strings.Count(first.log.String(), "node is alive") > told })
	second.leased()
	if again := second.node.Snapshot().Self; again.ID != id || again.Start != 2 {
		t.Errorf("identity %s, start %d after Leave", again.ID, again.Start)
	}
}

// The lease file of a node names a lease that it granted, when the node table
// is gone.
func TestForgetOfANodeThatOnlyAPromiseNames(t *testing.T) {
	t.Parallel()
	first, _ := founderHost(t)
	second := newHost(t, joining(first))
	second.start()
	first.seesHolding(second, second.leased())
	id := second.node.Snapshot().Self.ID
	second.stop()
	first.stop()
	if err := os.Remove(first.stateFile(tableFile)); err != nil {
		t.Fatal(err)
	}
	first.start()
	first.leased()
	if n, err := first.node.Forget(t.Context(), id.Short()); err != nil || n.ID != id {
		t.Fatalf("forget: %+v, %v", n, err)
	}
	if _, err := first.node.Forget(t.Context(), id.String()); !errors.Is(err, ErrUnknownNode) {
		t.Errorf("forget once more: %v", err)
	}
}

func TestForgetFreesADeadNodesSubnet(t *testing.T) {
	t.Parallel()
	first, _ := founderHost(t)
	second, lease := joinedHost(t, first)
	first.seesHolding(second, lease)
	id, name := second.node.Snapshot().Self.ID, second.config.Name
	for _, alive := range []string{name, id.String(), id.String()[:6]} {
		if _, err := first.node.Forget(t.Context(), alive); !errors.Is(err, ErrNodeAlive) {
			t.Errorf("forget %s while it lives: %v", alive, err)
		}
	}
	if _, err := first.node.Forget(t.Context(), "nobody"); !errors.Is(err, ErrUnknownNode) {
		t.Errorf("forget nobody: %v", err)
	}
	if _, err := first.node.Forget(t.Context(), first.config.Name); !errors.Is(err, ErrNodeAlive) {
		t.Errorf("forget self: %v", err)
	}
	second.stop()
	first.sees(second, Dead)
	got, err := first.node.Forget(t.Context(), name)
	if err != nil || got.ID != id || got.Lease.Prefix != lease {
		t.Fatalf("forgot %+v, %v", got, err)
	}
	first.until("it is gone", func(s *Snapshot) bool { return len(s.Nodes) == 1 })
	third := newHost(t, func(c *Config) { joining(first)(c); c.Subnet = lease })
	third.start()
	if got := third.leased(); got != lease {
		t.Errorf("the next one holds %s", got)
	}
}

func TestPinnedSubnetOfAnotherIsRefusedByName(t *testing.T) {
	t.Parallel()
	pin := netip.MustParsePrefix("10.244.7.0/24")
	first := newHost(t, func(c *Config) { c.Subnet = pin })
	first.start()
	if got := first.leased(); got != pin {
		t.Fatalf("lease %s", got)
	}
	second := newHost(t, func(c *Config) { joining(first)(c); c.Subnet = pin })
	second.start()
	err := second.wait()
	if !errors.Is(err, ErrSubnetHeld) || !strings.Contains(err.Error(), first.config.Name) {
		t.Errorf("Run: %v", err)
	}
}

func TestNodesThatOnlyJoinEachOtherFoundNothing(t *testing.T) {
	t.Parallel()
	one, two := newHost(t, nil), newHost(t, nil)
	joining(two)(&one.config)
	joining(one)(&two.config)
	one.start()
	two.start()
	one.logs("neither is in a network yet, and neither founds one")
	two.logs("neither is in a network yet, and neither founds one")
	third, _ := founderHost(t)
	if got := one.node.Snapshot(); got.Network.Prefix.IsValid() || got.Lease != Joining {
		t.Errorf("one is in %v", got.Network)
	}
	joined, err := one.node.Join(t.Context(), []string{third.gossip()})
	if err != nil || len(joined) != 1 {
		t.Fatalf("join: %v, %v", joined, err)
	}
	one.leased()
	two.leased()
}

func TestJoinSaysForEachAddressWhyNot(t *testing.T) {
	t.Parallel()
	h, _ := founderHost(t)
	other, _ := founderHost(t)
	addrs := []string{h.gossip(), other.gossip(), "127.41.0.2:1"}
	joined, err := h.node.Join(t.Context(), addrs)
	if len(joined) != 0 {
		t.Errorf("joined %v", joined)
	}
	for _, want := range []string{"this node itself", "another network: it is in network 10.244.0.0/16", "connection refused"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if _, err := h.node.Join(t.Context(), []string{"what is this"}); !errors.Is(err, ErrConfig) {
		t.Errorf("join of nonsense: %v", err)
	}
}

func TestOtherNetworkIsRefusedOnBothSides(t *testing.T) {
	t.Parallel()
	one := newHost(t, func(c *Config) { c.Network = netip.MustParsePrefix("10.1.0.0/16") })
	one.start()
	one.leased()
	two := newHost(t, func(c *Config) { c.Network = netip.MustParsePrefix("10.2.0.0/16") })
	two.start()
	two.leased()
	two.stop()
	two.config.Network = netip.Prefix{}
	joining(one)(&two.config)
	two.start()
	two.logs("another network: it is in network 10.1.0.0/16", "seed="+one.gossip())
	one.logs("another network: it is in network 10.2.0.0/16", "from="+two.config.Advertise.String())
	if n := len(one.node.Snapshot().Nodes); n != 1 {
		t.Errorf("%d nodes", n)
	}
}

func TestOtherNetworkThanTheFlagEndsRun(t *testing.T) {
	t.Parallel()
	one, _ := founderHost(t)
	two := newHost(t, func(c *Config) { joining(one)(c); c.Network = netip.MustParsePrefix("10.2.0.0/16") })
	two.start()
	if err := two.wait(); !errors.Is(err, ErrNetworkMismatch) || !strings.Contains(err.Error(), "--network 10.2.0.0/16") {
		t.Errorf("Run: %v", err)
	}
}

func TestNetworkIsCheckedBeforeItIsUsed(t *testing.T) {
	t.Parallel()
	unfit := errors.New("overlaps the office")
	check := func(p, lease netip.Prefix) error {
		if p != DefaultNetwork || lease.IsValid() {
			t.Errorf("asked about %s, lease %s", p, lease)
		}
		return unfit
	}
	founder := newHost(t, func(c *Config) { c.CheckNetwork = check })
	founder.start()
	if err := founder.wait(); !errors.Is(err, unfit) {
		t.Errorf("founder: %v", err)
	}
	one, _ := founderHost(t)
	joiner := newHost(t, func(c *Config) { joining(one)(c); c.CheckNetwork = check })
	joiner.start()
	if err := joiner.wait(); !errors.Is(err, unfit) {
		t.Errorf("joiner: %v", err)
	}
}

// Whether containers run with a lease decides what is in a network's way.
func TestNetworkIsCheckedAgainWithTheLeaseHeld(t *testing.T) {
	t.Parallel()
	var asked []netip.Prefix
	one := newHost(t, func(c *Config) {
		c.CheckNetwork = func(_, lease netip.Prefix) error {
			asked = append(asked, lease)
			return nil
		}
	})
	one.start()
	lease := one.leased()
	one.stop()
	one.start()
	one.leased()
	one.stop()
	if len(asked) != 2 || asked[0].IsValid() || asked[1] != lease {
		t.Errorf("asked with the leases %v, held %s", asked, lease)
	}
}

func TestTakenPortIsAnErrorThatNamesIt(t *testing.T) {
	t.Parallel()
	one, _ := founderHost(t)
	two := newHost(t, func(c *Config) { c.Bind = one.config.Bind })
	two.start()
	err := two.wait()
	if !errors.Is(err, ErrPortTaken) || !strings.Contains(err.Error(), fmt.Sprint(testPort)) || !strings.Contains(err.Error(), "--gossip-port") {
		t.Errorf("Run: %v", err)
	}
}
