// SPDX-License-Identifier: Apache-2.0

package control

import "net/netip"

// PathNames are the names of all paths of --backend.
var PathNames = []string{"udp", "direct", "vxlan", "ipip"}

// States of the data path to a peer.
const (
	PathNone      = ""           // it is not probed: this node itself, or no peer that lives
	PathUnproven  = "unproven"   // no probe was answered yet
	PathWorks     = "works"      // the last probes were answered
	PathSmallOnly = "small-only" // small packets pass, those of full size are lost
	PathFailed    = "failed"     // probes are not answered
	// PathImpossible: this host or the peer has it not, or it does not lead
	// from one to the other.
	PathImpossible = "impossible"
)

// Path is the data path to one peer: from this node through the peer's device
// to its kernel, and back. Probes go through it all the time.
type Path struct {
	State string  `json:"state"`
	Since Seconds `json:"since_seconds"` // in this state
	RTT   Seconds `json:"rtt_seconds"`   // of the last probe that was answered; 0: none was
	Sent  uint64  `json:"sent"`          // probes so far
	Lost  uint64  `json:"lost"`          // not answered in time
	Size  int     `json:"size"`          // of the largest packet that was answered, bytes
	Note  string  `json:"note"`          // why it does not work, or works in part
}

// NodePath is one of the ways in which packets can travel to a peer.
type NodePath struct {
	Path  string  `json:"path"` // udp, direct, vxlan, ipip
	State string  `json:"state"`
	Used  bool    `json:"used"`
	Why   string  `json:"why"` // why it is not used, or what is odd; "": nothing to say
	RTT   Seconds `json:"rtt_seconds"`
	Sent  uint64  `json:"sent"`
	Lost  uint64  `json:"lost"`
	Size  int     `json:"size"`
	MTU   int     `json:"mtu"` // largest packet that it takes whole, bytes
	// Arrived is what has come from the peer by it; of kernel paths only.
	Arrived Traffic `json:"arrived"`
	// Shortcut is of udp only; empty for another path.
	Shortcut NodeShortcut `json:"shortcut"`
}

// PathKernel is how the path udp is called where the kernel carries its
// packets.
const PathKernel = "udp (kernel)"

// Name is Path, or PathKernel.
func (p NodePath) Name() string {
	if p.Shortcut.Used {
		return PathKernel
	}
	return p.Path
}

// Paths counts data paths by state.
type Paths struct {
	Works     int `json:"works"`
	SmallOnly int `json:"small_only"`
	Failed    int `json:"failed"`
	Unproven  int `json:"unproven"`
}

// Backend is how this node sends packets to others.
type Backend struct {
	// Names is the list of --backend, in flannel's names.
	Names []string `json:"names"`
	// Paths are the paths of that list, in its order.
	Paths []BackendPath `json:"paths"`
}

// BackendPath is what this node has of a path.
type BackendPath struct {
	Path  string `json:"path"`
	Peers int    `json:"peers"` // that packets reach by it now
	// Unavailable says why this host has not the path; "": it has it.
	Unavailable string `json:"unavailable"`
}

// PingRequest asks for probes to a node, by hand.
type PingRequest struct {
	// Node is a name, an ID, the beginning of one, a static peer's address, or
	// an overlay address that the node holds.
	Node string `json:"node"`
	Path string `json:"path"` // one alone, or PathShortcut; "": all
	// Count is how many probes each path gets, 1 to MaxPings.
	Count int `json:"count"`
	// Size is the length of each probe in bytes. 0: the shortest. What the
	// largest packet is that a path takes is found out in any case.
	Size int `json:"size"`
}

// Limits of a PingRequest.
const (
	MaxPings    = 20    // so that a request takes less time than it may
	MinPingSize = 64    // bytes: what every probe fits into
	MaxPingSize = 65507 // bytes: the largest MTU of an overlay device
)

// Pinged is what the probes found.
type Pinged struct {
	Node   NodeName     `json:"node"`
	State  string       `json:"state"` // as in Node
	Subnet netip.Prefix `json:"subnet"`
	Reason string       `json:"reason"` // why it is reached as it is
	Paths  []PingedPath `json:"paths"`  // in the order of --backend
}

// PingedPath is what became of the probes over one path.
type PingedPath struct {
	Path     string  `json:"path"` // udp is user space, beside short-cut
	Used     bool    `json:"used"`
	Why      string  `json:"why"`  // why it is not used; "": nothing to say
	Sent     int     `json:"sent"` // 0: it is impossible
	Received int     `json:"received"`
	Min      Seconds `json:"rtt_min_seconds"` // 0: none was answered
	Avg      Seconds `json:"rtt_avg_seconds"`
	Max      Seconds `json:"rtt_max_seconds"`
	Largest  int     `json:"largest"` // packet that was answered, bytes
	MTU      int     `json:"mtu"`     // largest packet that the path should take, bytes
}

// KernelRoute is the kernel's answer to where it sends packets to an address.
type KernelRoute struct {
	From   string `json:"from"`   // "host", or the bridge that the packets come from
	Device string `json:"device"` // where they leave; "" for none
	Text   string `json:"text"`   // the answer in words, with table and rule where they matter
	// InTheWay is true where the node table wants packets to go elsewhere.
	InTheWay bool `json:"in_the_way"`
}
