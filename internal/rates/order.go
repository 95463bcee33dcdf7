// SPDX-License-Identifier: Apache-2.0

package rates

import (
	"cmp"
	"slices"

	"flanneld/internal/control"
)

// Orders are the ways in which peers can be sorted.
var Orders = []string{"traffic", "loss", "latency", "name"}

// Sort sorts peers: the most traffic, the most lost probes or the longest round
// trip first, or by name. Equal ones go by name. An order that is none is that
// by name.
func Sort(peers []control.TopPeer, order string) {
	slices.SortFunc(peers, func(a, b control.TopPeer) int {
		first := 0
		switch order {
		case "traffic":
			first = cmp.Compare(b.Egress.Bytes+b.Ingress.Bytes, a.Egress.Bytes+a.Ingress.Bytes)
		case "loss":
			first = cmp.Compare(Loss(b), Loss(a))
		case "latency":
			first = cmp.Compare(b.RTT, a.RTT)
		}
		return cmp.Or(first, cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID), a.Subnet.Compare(b.Subnet))
	})
}

// Loss is the part of a peer's probes that were lost, from 0 to 1.
func Loss(p control.TopPeer) float64 {
	if p.Probes == 0 {
		return 0
	}
	return float64(p.Lost) / float64(p.Probes)
}
