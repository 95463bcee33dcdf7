package daemon

import (
	"net/netip"

	"flanneld/peers"
)

var network = netip.MustParsePrefix("10.244.0.0/16")

// node makes a node table line: node("b", peers.Alive, 2) has 10.244.2.0/24 and
// 192.0.2.2:8285.
func node(id string, state peers.State, n byte) peers.NodeInfo {
	return peers.NodeInfo{
		ID: id, Name: "host-" + id, State: state, MTU: 1472,
		Lease:    peers.Lease{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, n, 0}), 24)},
		Endpoint: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), 8285),
	}
}

func self(lease peers.LeaseState, others ...peers.NodeInfo) *peers.Snapshot {
	me := node("a", peers.Alive, 1)
	me.Self = true
	return &peers.Snapshot{
		Network: peers.Network{Prefix: network}, Self: me, Lease: lease, Nodes: append([]peers.NodeInfo{me}, others...),
	}
}
