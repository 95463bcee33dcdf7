// SPDX-License-Identifier: Apache-2.0

package control

// Health is the verdict on this node, the first line of `status` and `nodes`.
type Health struct {
	// OK is true only while nothing is wrong: Status.Problems is empty. What it
	// stands on was proven by packets or asked of the kernel.
	OK bool `json:"ok"`
	// Summary is "ok", or the number of problems and the first one.
	Summary string `json:"summary"`
}

// States of the data path to a peer.
const (
	PathNone      = ""           // it is not probed: this node itself, or no peer that lives
	PathUnproven  = "unproven"   // probes have begun a few seconds ago, none was answered yet
	PathWorks     = "works"      // the last probes were answered
	PathSmallOnly = "small-only" // small packets pass, those of full size are lost
	PathFailed    = "failed"     // probes are not answered
)

// Path is the data path to one peer: from this node's data socket through the
// peer's device to its kernel, and back. Probes go through it all the time.
type Path struct {
	State string  `json:"state"`
	Since Seconds `json:"since_seconds"` // in this state
	RTT   Seconds `json:"rtt_seconds"`   // of the last probe that was answered; 0: none was
	Sent  uint64  `json:"sent"`          // probes so far
	Lost  uint64  `json:"lost"`          // not answered in time
	Size  int     `json:"size"`          // of the largest packet that was answered, bytes
	Note  string  `json:"note"`          // why it does not work, or works in part
}

// Paths counts data paths by state.
type Paths struct {
	Works     int `json:"works"`
	SmallOnly int `json:"small_only"`
	Failed    int `json:"failed"`
	Unproven  int `json:"unproven"`
}

// KernelRoute is the kernel's answer to where it sends packets to an address.
type KernelRoute struct {
	From     string `json:"from"`       // "host", or the bridge that the packets come from
	Device   string `json:"device"`     // where they leave; "" for none
	Text     string `json:"text"`       // the answer in words, with table and rule where they matter
	InTheWay bool   `json:"in_the_way"` // true where that is not what the node table wants
}
