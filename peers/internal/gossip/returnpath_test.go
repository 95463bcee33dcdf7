// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"net/netip"
	"testing"
	"time"

	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

func TestNoMoreIsAnsweredThanWasAsked(t *testing.T) {
	now := time.Unix(0, 0)
	r := newReturnPaths(netip.MustParseAddrPort("10.0.0.1:8286"))
	from := record.NodeID{1}
	for _, bad := range []string{"224.0.0.1:1", "0.0.0.0:1", "255.255.255.255:1", "127.0.0.1:1", "10.0.0.2:0", "10.0.0.1:8286"} {
		r.learn(wire.Frame{From: from, Endpoint: netip.MustParseAddrPort(bad), Size: 500}, now)
		if at, ok := r.take(from, 1, now); ok {
			t.Errorf("would answer to %s", at)
		}
	}
	there := netip.MustParseAddrPort("10.0.0.2:8286")
	r.learn(wire.Frame{From: from, Endpoint: there, Size: 500}, now)
	if at, ok := r.take(from, 300, now); !ok || at != there {
		t.Errorf("300 of 500 bytes: %v %v", at, ok)
	}
	if _, ok := r.take(from, 201, now); ok {
		t.Error("more than 500 bytes")
	}
	if _, ok := r.take(from, 200, now.Add(2*returnPathFor)); ok {
		t.Error("long afterwards")
	}
	for i := range 2 * maxReturnPaths {
		r.learn(wire.Frame{From: record.NodeID{2, byte(i >> 8), byte(i)}, Endpoint: there, Size: 500}, now)
	}
	if len(r.paths) > maxReturnPaths {
		t.Errorf("%d paths", len(r.paths))
	}
}
