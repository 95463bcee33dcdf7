// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"reflect"
	"testing"

	"flanneld/internal/config"
	"flanneld/internal/host/ports"
	"flanneld/peers"
)

// Ports are protected where a host of the network listens. No host can announce
// an address and port that take a service away from this host.
func TestPortsOfMembersAreProtected(t *testing.T) {
	at := netip.MustParseAddrPort
	lease := func(s string) peers.Lease { return peers.Lease{Prefix: netip.MustParsePrefix(s)} }
	s := &peers.Snapshot{View: peers.View{Nodes: []peers.NodeInfo{
		{Name: "self", Self: true, Endpoint: at("203.0.113.1:8285"), Lease: lease("10.244.1.0/24")},
		{Name: "alive", Endpoint: at("192.168.50.12:8285"), Gossip: at("192.168.50.12:8286"), Lease: lease("10.244.2.0/24")},
		{Name: "dead", State: peers.Dead, Endpoint: at("192.168.50.13:9000"), Gossip: at("192.168.50.13:9001"), Lease: lease("10.244.3.0/24")},
		{Name: "left", State: peers.Left, Endpoint: at("192.168.50.14:8285"), Gossip: at("192.168.50.14:8286"), Lease: lease("10.244.4.0/24")},
		{Name: "dead without lease", State: peers.Dead, Endpoint: at("192.168.50.17:8285"), Gossip: at("192.168.50.17:8286")},
		{Name: "no lease yet", State: peers.Alive, Endpoint: at("192.168.50.15:8285"), Gossip: at("192.168.50.15:8286")},
		{Name: "two addresses", Endpoint: at("192.168.50.16:8285"), Gossip: at("192.168.60.16:8286"), Lease: lease("10.244.6.0/24")},
		{Name: "names a resolver", Endpoint: at("9.9.9.9:53"), Gossip: at("9.9.9.9:443"), Lease: lease("10.244.7.0/24")},
		{Name: "no endpoint", Lease: lease("10.244.8.0/24")},
	}}}
	static := []config.StaticPeer{{Subnet: netip.MustParsePrefix("10.244.9.0/24"), Endpoint: at("192.168.50.19:8285")},
		{Subnet: netip.MustParsePrefix("10.244.10.0/24"), Path: config.PathVXLAN, Endpoint: at("192.168.50.20:8472")}}
	got := portMembers(s, static, netip.MustParseAddr("192.168.50.11"), 8285, 8286)
	addr := netip.MustParseAddr
	want := []ports.Member{
		{Addr: addr("192.168.50.11"), Data: 8285, Gossip: 8286, Self: true},
		{Addr: addr("203.0.113.1"), Data: 8285, Gossip: 8286, Self: true},
		{Addr: addr("192.168.50.12"), Data: 8285, Gossip: 8286},
		{Addr: addr("192.168.50.13"), Data: 9000, Gossip: 9001},
		{Addr: addr("192.168.50.15"), Data: 8285, Gossip: 8286},
		{Addr: addr("192.168.50.16"), Data: 8285},
		{Addr: addr("192.168.60.16"), Gossip: 8286},
		{Addr: addr("9.9.9.9")},
		{Addr: addr("192.168.50.19"), Data: 8285},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
