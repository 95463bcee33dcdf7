// SPDX-License-Identifier: Apache-2.0

package route

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"flanneld/internal/packet"
)

func TestPathMTUIsForgottenInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPeer("b", "192.0.2.2:8285")
		if got := p.limit(time.Now()); got != packet.MaxLen || p.PathMTU() != 0 {
			t.Errorf("limit %d, path MTU %d before anything is known", got, p.PathMTU())
		}
		if longest, changed := p.learnPathMTU(1400, time.Now()); longest != 1372 || !changed {
			t.Errorf("learned %d, news %v; want 1372, true", longest, changed)
		}
		if _, changed := p.learnPathMTU(1400, time.Now()); changed {
			t.Error("the same again is news")
		}
		time.Sleep(pathMTULifetime - 1)
		if got := p.limit(time.Now()); got != 1372 || p.PathMTU() != 1372 {
			t.Errorf("limit %d, path MTU %d; want 1372", got, p.PathMTU())
		}
		time.Sleep(time.Nanosecond)
		if got := p.limit(time.Now()); got != packet.MaxLen || p.PathMTU() != 0 {
			t.Errorf("limit %d, path MTU %d after its time", got, p.PathMTU())
		}
	})
}

func TestPathMTUBelongsToTheAddress(t *testing.T) {
	p := testPeer("b", "192.0.2.2:8285")
	p.learnPathMTU(1400, time.Now())
	p.Update(netip.MustParseAddrPort("192.0.2.2:9000"), 0)
	if p.PathMTU() != 1372 {
		t.Error("forgotten with the port")
	}
	p.Update(netip.MustParseAddrPort("192.0.2.3:9000"), 0)
	if p.PathMTU() != 0 {
		t.Error("remembered for another address")
	}
}

func TestLimitIsTheSmallest(t *testing.T) {
	for _, test := range []struct{ device, path, want int }{
		{0, 0, packet.MaxLen},
		{1472, 0, 1472},
		{1472, 1400, 1372},
		{1300, 1400, 1300},
		{0, 1400, 1372},
		{0, 20, packet.MinMTU}, // never less than any host must take
		{1, 0, packet.MinMTU},
		{-5, 0, packet.MaxLen},
	} {
		p := NewPeer("b", netip.MustParseAddrPort("192.0.2.2:8285"), test.device)
		now := time.Now()
		if test.path != 0 {
			p.learnPathMTU(test.path, now)
		}
		if got := p.limit(now); got != test.want {
			t.Errorf("device %d, path %d: limit %d, want %d", test.device, test.path, got, test.want)
		}
	}
}
