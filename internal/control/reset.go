// SPDX-License-Identifier: Apache-2.0

package control

import "net/netip"

// Reset is what `flanneld reset -o json` prints. The command works on the state
// directory of a stopped daemon, without the socket.
type Reset struct {
	// Node is the ID that is kept, "" where the directory held no state; then
	// the rest is empty.
	Node     string       `json:"node"`
	StateDir string       `json:"state_dir"`
	Network  ResetNetwork `json:"network"`
	// Subnet is what the next start asks for first; empty where none is known.
	Subnet netip.Prefix `json:"subnet"`
	// KeptFor counts the other nodes for which this node reserves subnets.
	KeptFor int `json:"kept_for"`
	// SetAside are damaged files, by their new names.
	SetAside []string `json:"set_aside"`
}

// ResetNetwork is the network that was given up; empty where the node was in
// none.
type ResetNetwork struct {
	ID     string       `json:"id"`
	Prefix netip.Prefix `json:"prefix"`
}
