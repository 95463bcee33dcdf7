// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestAPingSaysWhatCameBack(t *testing.T) {
	refused := errors.New("operation not permitted")
	for _, c := range []struct {
		name    string
		peer    peer
		forward bool
		size    int
		want    PingResult
	}{
		{"all", peer{delay: 3 * time.Millisecond}, false, 0,
			PingResult{Sent: 4, Received: 4, Min: 3 * time.Millisecond, Avg: 3 * time.Millisecond, Max: 3 * time.Millisecond, Largest: 1472}},
		{"nothing", peer{deaf: true}, false, 0, PingResult{Sent: 4}},
		{"not large ones", peer{largest: 1300}, false, 0, PingResult{Sent: 4, Received: 4, Largest: 1280}},
		{"not this size", peer{largest: 1300}, false, 1472, PingResult{Sent: 4}},
		{"this size", peer{}, false, 1472, PingResult{Sent: 4, Received: 4, Largest: 1472}},
		{"this host refuses", peer{refuse: refused}, false, 0, PingResult{Sent: 4, Refused: refused}},
		{"a peer that only forwards", peer{noEcho: true}, true, 0, PingResult{Sent: 4, Received: 4, Largest: 1472}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{peers: map[netip.AddrPort]*peer{}}
				c.peer.lease, c.peer.endpoint = netip.MustParsePrefix("10.244.2.0/24"), netip.MustParseAddrPort("192.0.2.2:8285")
				w.peers[c.peer.endpoint] = &c.peer
				p := NewPing(PingConfig{
					Source: self, ForwardsOnly: c.forward, Count: 4, Size: c.size, Interval: 100 * time.Millisecond,
					Target: Target{
						Lease: c.peer.lease, Longest: func() int { return 1472 },
						Send: func(b []byte, _ Offload) (int, error) { return w.send(c.peer.endpoint, b) },
					},
				})
				w.answers = p.Answer
				began := time.Now()
				got := p.Run(t.Context())
				if !errors.Is(got.Refused, c.want.Refused) {
					t.Errorf("refused: %v", got.Refused)
				}
				got.Refused, c.want.Refused = nil, nil
				if got != c.want {
					t.Errorf("got %+v, want %+v", got, c.want)
				}
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("took %v", took)
				}
				if p.Answer([]byte("no packet")) {
					t.Error("took what is no answer")
				}
			})
		})
	}
}

func TestAPingEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		got := NewPing(PingConfig{
			Source: self, Count: 1000, Interval: 200 * time.Millisecond,
			Target: Target{Lease: netip.MustParsePrefix("10.244.2.0/24"), Longest: func() int { return 1472 },
				Send: func([]byte, Offload) (int, error) { return 0, nil }},
		}).Run(ctx)
		if got.Sent < 4 || got.Sent > 6 || got.Received != 0 {
			t.Errorf("got %+v", got)
		}
	})
}
