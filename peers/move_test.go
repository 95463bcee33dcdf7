// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"flanneld/peers/internal/statedir"
)

// seesAt waits until another node is alive here at an address.
func (h *host) seesAt(id NodeID, addr netip.Addr) NodeInfo {
	h.t.Helper()
	var found NodeInfo
	h.until("it is seen at "+addr.String(), func(s *Snapshot) bool {
		for _, n := range s.Nodes {
			if n.ID == id {
				found = n
			}
		}
		return found.State == Alive && found.Endpoint.Addr() == addr && found.Gossip.Addr() == addr
	})
	return found
}

func TestMoveKeepsTheLeaseAndIsToldToEverybody(t *testing.T) {
	t.Parallel()
	first, _ := founderHost(t)
	second, third := newHost(t, joining(first)), newHost(t, joining(first))
	for _, h := range []*host{second, third} {
		h.start()
		h.leased()
	}
	third.sees(second, Alive)
	second.sees(third, Alive) // or it has no node to keep alive over the move
	lease, id, start := second.leased(), second.node.Snapshot().Self.ID, second.node.Snapshot().Self.Start
	for range 2 { // there and on
		addr := nextHost()
		if err := second.node.Move(t.Context(), addr, addr); err != nil {
			t.Fatal(err)
		}
		for _, h := range []*host{first, third} {
			if n := h.seesAt(id, addr); n.Lease.Prefix != lease || n.Start <= start {
				t.Errorf("after the move: %+v", n)
			}
		}
		second.until("it has moved", func(s *Snapshot) bool {
			return s.Lease == Confirmed && s.Self.Lease.Prefix == lease && s.Self.Endpoint.Addr() == addr
		})
		second.sees(first, Alive)
		second.sees(third, Alive)
		start = second.node.Snapshot().Self.Start
	}
	second.stop()
	for _, h := range []*host{first, second, third} {
		if log := h.log.String(); strings.Contains(log, "identity") || strings.Contains(log, "lease lost") {
			t.Errorf("a move was mistaken for a duplicate, or cost a lease:\n%s", log)
		}
	}
	second.start()
	if again := second.leased(); again != lease || second.node.Snapshot().Self.Start <= start {
		t.Errorf("after a restart %s, start %d", again, second.node.Snapshot().Self.Start)
	}
}

// What cannot be moved to leaves everything as it was.
func TestMoveThatFailsLeavesTheNodeWhereItWas(t *testing.T) {
	t.Parallel()
	first, _ := founderHost(t)
	second, _ := joinedHost(t, first)
	own, there := second.config.Advertise, nextHost()
	for _, c := range []struct {
		what            string
		advertise, bind netip.Addr
		kind            error
	}{
		{"taken port", first.config.Advertise, first.config.Bind, ErrPortTaken},
		{"another address at the same socket", there, own, ErrConfig},
		{"no address of this host", netip.MustParseAddr("127.99.0.1"), netip.MustParseAddr("192.0.2.77"), ErrConfig},
		{"inside the network", netip.MustParseAddr("10.244.3.1"), there, ErrConfig},
		{"off loopback", netip.MustParseAddr("192.0.2.1"), there, ErrConfig},
		{"no IPv4 address", netip.MustParseAddr("2001:db8::1"), there, ErrConfig},
	} {
		if err := second.node.Move(t.Context(), c.advertise, c.bind); !errors.Is(err, c.kind) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	if err := second.node.Move(t.Context(), own, own); err != nil {
		t.Errorf("to where it is: %v", err)
	}
	if s := second.node.Snapshot(); s.Self.Endpoint.Addr() != own || s.Lease != Confirmed || s.Self.Start != 1 {
		t.Errorf("after failed moves: %+v", s.Self)
	}
	first.sees(second, Alive)
}

// A move that the disk did not take is not made later, when the disk works
// again.
func TestMoveAfterAFailedWriteIsNeverAnnounced(t *testing.T) {
	t.Parallel()
	first, _ := founderHost(t)
	second := newHost(t, joining(first))
	node, err := Open(second.config)
	if err != nil {
		t.Fatal(err)
	}
	var full atomic.Bool
	node.dir.Replace = func(path string, content []byte) error {
		if full.Load() {
			return syscall.ENOSPC
		}
		return statedir.ReplaceFile(path, content)
	}
	second.run(node)
	lease, own := second.leased(), second.config.Advertise
	first.seesHolding(second, lease)
	full.Store(true)
	there := nextHost()
	if err := second.node.Move(t.Context(), there, there); !errors.Is(err, ErrState) {
		t.Fatalf("move: %v", err)
	}
	full.Store(false)
	second.logs("state can be written again")
	first.until("it has heard of a later start", func(s *Snapshot) bool {
		for _, n := range s.Nodes {
			if start := second.node.Snapshot().Self.Start; !n.Self && n.Start >= start && start > 1 {
				return true
			}
			if !n.Self && n.Gossip.Addr() == there {
				t.Fatalf("it is announced at %v", n.Gossip)
			}
		}
		return false
	})
	for _, n := range first.node.Snapshot().Nodes {
		if !n.Self && (n.Gossip.Addr() != own || n.Endpoint.Addr() != own || n.State != Alive || n.Lease.Prefix != lease) {
			t.Errorf("after the failed move: %+v", n)
		}
	}
	if err := second.node.Move(t.Context(), there, there); err != nil {
		t.Errorf("move with a disk that works: %v", err)
	}
	first.seesAt(second.node.Snapshot().Self.ID, there)
}
