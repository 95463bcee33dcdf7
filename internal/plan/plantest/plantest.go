// SPDX-License-Identifier: Apache-2.0

// Package plantest makes node tables and static peers for tests.
package plantest

import (
	"net/netip"
	"testing"

	"flanneld/internal/config"
	"flanneld/peers"
)

// Network is the overlay network of all snapshots.
var Network = netip.MustParsePrefix("10.244.0.0/16")

// ID makes a node ID of at most 16 bytes.
func ID(text string) (id peers.NodeID) {
	copy(id[:], text)
	return id
}

// Key is the text of ID, by which plans and routes name the node.
func Key(text string) string { return ID(text).String() }

// Node makes a line of the node table. Node("b", peers.Alive, 2) is host-b with
// 10.244.2.0/24, 192.0.2.2:8285 and, for gossip, 192.0.2.2:8286.
func Node(id string, state peers.State, n byte) peers.NodeInfo {
	host := netip.AddrFrom4([4]byte{192, 0, 2, n})
	return peers.NodeInfo{
		ID: ID(id), Name: "host-" + id, State: state, MTU: 1472,
		Lease:    peers.Lease{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, n, 0}), 24)},
		Endpoint: netip.AddrPortFrom(host, 8285), Gossip: netip.AddrPortFrom(host, 8286),
	}
}

// Snapshot is what node "a" knows, which is Node("a", peers.Alive, 1).
func Snapshot(lease peers.LeaseState, others ...peers.NodeInfo) *peers.Snapshot {
	me := Node("a", peers.Alive, 1)
	me.Self = true
	return &peers.Snapshot{Self: me, View: peers.View{
		Network: peers.Network{Prefix: Network}, Lease: lease, Nodes: append([]peers.NodeInfo{me}, others...),
	}}
}

// StaticPeers reads static peers as --static-peer gives them.
func StaticPeers(t testing.TB, texts ...string) (all []config.StaticPeer) {
	t.Helper()
	for _, text := range texts {
		p, err := config.ParseStaticPeer(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}
