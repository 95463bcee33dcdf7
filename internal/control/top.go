// SPDX-License-Identifier: Apache-2.0

package control

import (
	"net/netip"
	"time"
)

// Top is what a node and its peers do at the moment, as `flanneld top` shows
// it. It is computed from two looks at Status and Nodes. Rates are per second.
type Top struct {
	Health
	Time    time.Time    `json:"time"`
	Node    NodeName     `json:"node"`
	Subnet  netip.Prefix `json:"subnet"`
	Uptime  Seconds      `json:"uptime_seconds"`
	Members Members      `json:"members"`
	Egress  Rate         `json:"egress"` // what flanneld carries itself
	Ingress Rate         `json:"ingress"`
	// Arrived is what comes by kernel paths. What goes out by them is not
	// counted: the kernel routes it.
	Arrived Rate `json:"arrived_by_kernel_paths"`
	// Drops counts dropped packets by reason; reasons without are left out.
	Drops map[string]float64 `json:"drops"`
	Peers []TopPeer          `json:"peers"` // without this node
}

// Rate is traffic per second.
type Rate struct {
	Packets float64 `json:"packets"`
	Bytes   float64 `json:"bytes"`
}

// TopPeer is one peer in a Top.
type TopPeer struct {
	ID      string       `json:"id"`
	Name    string       `json:"name"`
	State   string       `json:"state"` // as in Node
	Subnet  netip.Prefix `json:"subnet"`
	Path    string       `json:"path"`        // in use; "" for none
	RTT     Seconds      `json:"rtt_seconds"` // of the last probe that was answered; 0: none was
	Probes  uint64       `json:"probes"`      // sent in the last half minute, at most
	Lost    uint64       `json:"lost"`        // of these
	Ingress Rate         `json:"ingress"`     // by all paths
	Egress  Rate         `json:"egress"`      // what flanneld sends itself
	// ByKernel: packets to the peer take a kernel path, which Egress does not
	// count.
	ByKernel bool `json:"egress_by_kernel"`
}
