// SPDX-License-Identifier: Apache-2.0

package shortcut

// reasons are why packets are left to user space, in the order of enum reason
// in shortcut.c. For the last ones they are dropped.
var reasons = [...]struct{ direction, name string }{
	{egress, "malformed"},
	{egress, "options"},
	{egress, "fragment"},
	{egress, "protocol"},
	{egress, "foreign-source"},
	{egress, "no-route"},
	{egress, "user-space-peer"},
	{egress, "own-icmp"},
	{egress, "ttl"},
	{egress, "too-long"},
	{egress, "superpacket"},
	{egress, "unfinished"},
	{egress, "path"},
	{egress, "failed"},
	{ingress, "user-space-peer"},
	{ingress, "other-host"},
	{ingress, "malformed"},
	{ingress, "options"},
	{ingress, "fragment"},
	{ingress, "protocol"},
	{ingress, "unknown-sender"},
	{ingress, "foreign-destination"},
	{ingress, "too-long"},
	{ingress, "congestion"},
	{ingress, "answer"},
	{ingress, "failed"},
	{bridge, "no-port"},
	{egress, noMemory},
	{ingress, noMemory},
}

// noMemory is why packets are dropped that are half changed.
const noMemory = "no-memory"

// Directions of Left.
const (
	egress  = "egress"
	ingress = "ingress"
	bridge  = "bridge"
)
