// SPDX-License-Identifier: Apache-2.0

package core

import "net/netip"

// KeptLease is the subnet of the confirmed lease on disk, zero without one.
// This node had it when it stopped, and may not have it any more.
func (c *Core) KeptLease() netip.Prefix {
	if c.table == nil || len(c.durable.Lease) == 0 {
		return netip.Prefix{}
	}
	return c.Network().SubnetOf(c.durable.Slot)
}
