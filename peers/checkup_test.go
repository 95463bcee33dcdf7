// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flanneld/peers/internal/gossip"
)

// deaf are sockets that lose the datagrams they send while muted is set.
type deaf struct {
	gossip.Sockets
	muted *atomic.Bool
}

func (d deaf) ListenUDP(at netip.AddrPort) (gossip.Datagrams, error) {
	socket, err := d.Sockets.ListenUDP(at)
	return losing{socket, d.muted}, err
}

type losing struct {
	gossip.Datagrams
	muted *atomic.Bool
}

func (l losing) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if l.muted.Load() {
		return len(b), nil
	}
	return l.Datagrams.WriteToUDPAddrPort(b, to)
}

// examine examines the only other node.
func (h *host) examine() Examined {
	h.t.Helper()
	all, of, err := h.node.Examine(h.t.Context(), 8)
	if err != nil || len(all) != 1 || of != 1 {
		h.t.Fatalf("examined %d of %d, %v", len(all), of, err)
	}
	return all[0]
}

// Each direction of datagrams and streams is told apart, with a cluster key and
// without.
func TestExaminationTellsDirectionsApart(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", keyFile(t)} {
		first := newHost(t, func(c *Config) { c.KeyFile = key })
		var muted atomic.Bool
		first.sockets = deaf{gossip.Kernel{}, &muted}
		first.start()
		lease := first.leased()
		second := newHost(t, joining(first))
		second.config.KeyFile = key
		stray := netip.MustParseAddr("192.0.2.200")
		second.config.Witness = func(id NodeID) Witness {
			if id != first.node.Snapshot().Self.ID {
				t.Errorf("%s asks", id)
			}
			return Witness{Version: "1.2.3", Path: "works", Stray: stray}
		}
		second.start()
		first.seesHolding(second, second.leased())
		second.seesHolding(first, lease)

		got := first.examine()
		all := gossip.Arrivals{There: true, Here: true}
		if got.Datagrams != all || got.Streams != all || got.Dial != nil || got.Err != nil || got.Witness != (Witness{Version: "1.2.3", Path: "works", Stray: stray}) {
			t.Errorf("all is well: %+v, %v, %v", got.Checkup, got.Dial, got.Err)
		}
		if got.Within <= 0 || got.Within > time.Second || got.Offset.Abs() > got.Within+time.Millisecond {
			t.Errorf("one clock differs from itself by %v, within %v", got.Offset, got.Within)
		}

		muted.Store(true)
		got = first.examine()
		if got.Datagrams != (gossip.Arrivals{Here: true}) || got.Streams != all {
			t.Errorf("its datagrams are lost: %+v", got.Checkup)
		}
		got = second.examine()
		if got.Datagrams != (gossip.Arrivals{There: true}) || got.Streams != all || got.Version != "" {
			t.Errorf("the other one's datagrams are lost: %+v", got.Checkup)
		}
		muted.Store(false)

		second.stop()
		if got = first.examine(); got.Answered() || got.Dial == nil || !strings.Contains(got.Dial.Error(), "refused") {
			t.Errorf("it is stopped: %+v, %v", got.Checkup, got.Dial)
		}
		first.stop()
		if _, _, err := first.node.Examine(t.Context(), 1); err == nil {
			t.Error("a stopped node examines others")
		}
	}
}
