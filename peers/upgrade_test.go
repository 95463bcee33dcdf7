// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"
)

// oldNodes are the hosts of testdata/v01: a network of version 0.1. Its fifth
// node had left, and its fourth was forgotten while it was down.
var oldNodes = []struct {
	name, id string
	subnet   netip.Prefix
}{
	{"old1", "35snhlrivob74rrtj5wkdyayti", netip.MustParsePrefix("10.244.30.0/24")},
	{"old2", "pmccaish7xmc5nucdgstayhriy", netip.MustParsePrefix("10.244.77.0/24")},
	{"old3", "yiaw6mmliu2lzlifbsuch6z4qa", netip.MustParsePrefix("10.244.39.0/24")},
	{"old4", "xueea4fnk2wdgykmo5d2y3736a", netip.MustParsePrefix("10.244.91.0/24")},
	{"old5", "aijirfewmv2w4eggbucnqzvfyu", netip.MustParsePrefix("10.244.18.0/24")},
}

const oldNetwork = "d29dc5f6bf0d715c8efcc92c0c10dbb8"

// oldHost is a host of version 0.1 that now has this one.
func oldHost(t *testing.T, i int, seeds ...*host) *host {
	t.Helper()
	return newHost(t, func(c *Config) {
		c.Name, c.StateDir = oldNodes[i].name, copyState(t, filepath.Join("testdata", "v01", oldNodes[i].name))
		joining(seeds...)(c)
	})
}

// keepsAll checks that a node has its identity, network and subnet of before.
func (h *host) keepsAll(i int) {
	h.t.Helper()
	want := oldNodes[i]
	lease := h.leased()
	s := h.node.Snapshot()
	if lease != want.subnet || s.Self.ID.String() != want.id || s.Network.ID().String() != oldNetwork {
		h.t.Errorf("%s: subnet %s, ID %s, network %s; want %s, %s, %s", want.name, lease, s.Self.ID, s.Network.ID(), want.subnet, want.id, oldNetwork)
	}
}

func TestHostsOfTheLastVersionAreUpgradedOneAfterTheOther(t *testing.T) {
	t.Parallel()
	first := oldHost(t, 0)
	first.start()
	first.keepsAll(0)
	if n := len(first.node.Snapshot().Nodes); n < 3 {
		t.Errorf("%d nodes known after the upgrade, want those of before", n)
	}
	guest := newHost(t, joining(first))
	guest.start()
	time.Sleep(3 * time.Second)
	if s := guest.node.Snapshot(); s.Lease == Confirmed {
		t.Fatalf("one of three holders has let a guest in: %s", s.Self.Lease.Prefix)
	}
	var all []*host
	for i := 1; i < len(oldNodes); i++ {
		h := oldHost(t, i, first)
		h.start()
		h.keepsAll(i)
		all = append(all, h)
	}
	taken := guest.leased()
	for i, h := range append([]*host{first}, all...) {
		if oldNodes[i].subnet == taken {
			t.Errorf("the guest got %s's subnet", oldNodes[i].name)
		}
		guest.seesHolding(h, oldNodes[i].subnet)
		first.seesHolding(guest, taken)
	}
	for i, h := range all { // and once more, from the new files
		h.stop()
		h.start()
		h.keepsAll(i + 1)
	}
}
