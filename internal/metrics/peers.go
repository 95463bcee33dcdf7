// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"cmp"
	"slices"

	"flanneld/internal/control"
)

// maxPeers is how many peers have metrics of their own. In a network of a
// thousand nodes all peers of all nodes would be a million.
const maxPeers = 100

var (
	peerLabels  = []string{"peer", "id", "subnet"}
	peerPackets = counter("peer_packets_total", "Overlay packets of a peer.", "peer", "id", "subnet", "direction", "path")
	peerBytes   = counter("peer_bytes_total", "Bytes of these packets.", "peer", "id", "subnet", "direction", "path")
	peerPath    = gauge("peer_path_info", "Path to a peer, in labels; always 1.", "peer", "id", "subnet", "path")
	peerWorks   = gauge("peer_reachable", "Whether packets reach a peer and come back (1) or not (0).", peerLabels...)
	peerRTT     = gauge("peer_round_trip_seconds", "Round trip of the last probe that was answered.", peerLabels...)
	peerChanges = counter("peer_path_changes_total", "How often packets to it took another path.", peerLabels...)
	peersShown  = gauge("peers_shown", "Peers with metrics of their own.")
	peersAll    = gauge("peers", "Peers: other nodes and static peers with a subnet.")
)

// collectPeers shows the peers with the most traffic since they are known.
// Sums change their order slowly, and a peer that is shown stays so.
func (c *collector) collectPeers(s sink, table control.Nodes) {
	var all []*control.Node
	for i := range table.Nodes {
		if n := &table.Nodes[i]; !n.Self && n.Subnet.IsValid() {
			all = append(all, n)
		}
	}
	s.put(peersAll, float64(len(all)))
	if len(all) > maxPeers {
		slices.SortStableFunc(all, func(a, b *control.Node) int { return cmp.Compare(traffic(b), traffic(a)) })
		all = all[:maxPeers]
	}
	shown := map[string]bool{}
	for _, n := range all {
		if key := n.ID + " " + n.Subnet.String(); !shown[key] { // a series must not come twice
			shown[key] = true
			s.peer(n)
		}
	}
	s.put(peersShown, float64(len(shown)))
}

// traffic is how much was exchanged with a peer, in bytes.
func traffic(n *control.Node) uint64 {
	sum := n.Egress.Bytes + n.Ingress.Bytes
	for _, p := range n.Paths {
		sum += p.Arrived.Bytes
	}
	return sum
}

func (s sink) peer(n *control.Node) {
	with := func(more ...string) []string { return append([]string{n.Name, n.ID, n.Subnet.String()}, more...) }
	move := func(direction, path string, t control.Traffic) {
		s.put(peerPackets, float64(t.Packets), with(direction, path)...)
		s.put(peerBytes, float64(t.Bytes), with(direction, path)...)
	}
	move("egress", "udp", n.Egress)
	move("ingress", "udp", n.Ingress)
	for _, p := range n.Paths {
		if p.Path != "udp" && (p.Used || p.Arrived.Packets > 0) {
			move("ingress", p.Path, p.Arrived)
		}
		if p.Used {
			s.put(peerPath, 1, with(p.Path)...)
		}
	}
	s.put(peerChanges, float64(n.PathChanges), with()...)
	if n.Path.State == control.PathNone {
		return // it is not probed
	}
	s.putBool(peerWorks, n.Path.State == control.PathWorks, with()...)
	if n.Path.RTT > 0 {
		s.put(peerRTT, float64(n.Path.RTT), with()...)
	}
}
