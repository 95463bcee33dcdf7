// SPDX-License-Identifier: Apache-2.0

package control

import "fmt"

// PathShortcut is the path "udp" where the kernel carries the packets. It has
// probes of its own, and `ping` tries it beside user space.
const PathShortcut = "short-cut"

// PingNames are the names of all paths that can be pinged.
func PingNames() []string { return append([]string{PathShortcut}, PathNames...) }

// Settings of the short-cut.
const (
	ShortcutAuto = "auto"
	ShortcutOff  = "off"
)

// Shortcut is what this host has of the short-cut.
type Shortcut struct {
	Setting string `json:"setting"` // auto or off
	Ready   bool   `json:"ready"`   // the programs are in place, and may be used
	Why     string `json:"why"`     // why not, one line
	// Pinned reports whether the programs go on while no daemon runs.
	Pinned bool `json:"pinned"`
	Peers  int  `json:"peers"` // to which packets take it now
	// Egress and Ingress are what it has carried. It is in the same fields of
	// Status, too.
	Egress  Traffic `json:"egress"`
	Ingress Traffic `json:"ingress"`
	// Left counts packets that were left to user space, such as
	// egress-too-long. A superpacket is one.
	Left  map[string]uint64 `json:"left_to_user_space"`
	Notes []string          `json:"notes"` // what runs differently than at best
}

// NodeShortcut reports whether packets to one peer take the short-cut.
type NodeShortcut struct {
	Used  bool    `json:"used"`
	State string  `json:"state"` // as in NodePath
	Why   string  `json:"why"`   // why it is not used
	RTT   Seconds `json:"rtt_seconds"`
	Sent  uint64  `json:"sent"` // probes through it
	Lost  uint64  `json:"lost"`
	// Egress and Ingress are what it has carried. It is in the same fields of
	// Node, too.
	Egress  Traffic `json:"egress"`
	Ingress Traffic `json:"ingress"`
}

// ShortcutRequest switches the short-cut until the next start.
type ShortcutRequest struct {
	Setting string `json:"setting"`
}

// Check says what is wrong with a request.
func (r ShortcutRequest) Check() error {
	if r.Setting != ShortcutAuto && r.Setting != ShortcutOff {
		return fmt.Errorf("setting %.20q: neither %s nor %s", r.Setting, ShortcutAuto, ShortcutOff)
	}
	return nil
}
