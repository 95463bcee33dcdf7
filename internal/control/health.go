// SPDX-License-Identifier: Apache-2.0

package control

import "net/netip"

// Health is the verdict on this node, the first line of `status` and `nodes`.
type Health struct {
	// OK is true only while nothing is wrong: Status.Problems is empty. What it
	// stands on was proven by packets or asked of the kernel.
	OK bool `json:"ok"`
	// Summary is "ok", or the number of problems and the first one.
	Summary string `json:"summary"`
}

// Readiness reports whether this node does its work for containers: the lease
// is confirmed, the device is up, the firewall rules and the files are in
// place, and packets reach another node where there is one.
type Readiness struct {
	Ready bool `json:"ready"`
	// Missing says what is missing, one line each; empty where ready.
	Missing []string `json:"missing"`
}

// Metrics is where this node serves metrics and health.
type Metrics struct {
	Address netip.AddrPort `json:"address"` // "": nowhere
	Exposed bool           `json:"exposed"` // other hosts can reach it
}
