// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"reflect"
	"testing"

	"flanneld/internal/host/bridge"
	"flanneld/internal/host/underlay"
	"flanneld/internal/plan/plantest"
)

func TestOwnEndpointsAreToldFromOthers(t *testing.T) {
	u := underlay.Underlay{Addr: netip.MustParseAddr("192.0.2.1"), PublicAddr: netip.MustParseAddr("198.51.100.1")}
	local := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("203.0.113.1")}
	for text, want := range map[string]bool{
		"192.0.2.1:8285": true, "192.0.2.1:9": true, "192.0.2.2:8285": false,
		"203.0.113.1:8285":  true,                          // another interface's
		"198.51.100.1:8285": true, "198.51.100.1:9": false, // another host behind the router
		"127.0.0.1:8285": false, // another underlay's
	} {
		if got := isOwn(netip.MustParseAddrPort(text), local, u, 8285); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

func TestTheSubnetsOfThisHostArePreferredInOrder(t *testing.T) {
	found := []bridge.Bridge{onBridge("idle0", false, "10.244.4.1/24"), onBridge("docker0", true, "10.244.2.1/24")}
	got := preference(netip.MustParsePrefix("10.244.1.0/24"), found, plantest.StaticPeers(t, "10.244.3.0/24=192.0.2.1:8285"))
	var want []netip.Prefix
	for _, text := range []string{"10.244.1.0/24", "10.244.2.0/24", "10.244.3.0/24", "10.244.4.0/24"} {
		want = append(want, netip.MustParsePrefix(text))
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := preference(netip.Prefix{}, nil, nil); len(got) != 0 {
		t.Errorf("got %v of nothing", got)
	}
}
