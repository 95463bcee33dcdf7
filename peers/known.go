// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"net/netip"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/statedir"
)

// Known is what a state directory says of its node.
type Known struct {
	Network netip.Prefix // that it is in; zero: in none, or it is not known
	// Subnet is that of the confirmed lease, zero without one. The node had it
	// when it stopped: it is what [Config.CheckNetwork] would get.
	Subnet netip.Prefix
	Pinned bool // the lease was asked for by [Config.Subnet]
}

// Peek reads what is known of a node, zero where there is nothing. It locks
// nothing and changes nothing. A damaged file is no error here: [Open] reports
// it.
func Peek(stateDir string) (Known, error) {
	lease, err := statedir.PeekLease(stateDir)
	if err != nil || lease == nil {
		return Known{}, ofState(err)
	}
	known, err := core.Peek(lease)
	if err != nil {
		return Known{}, nil
	}
	return Known{Network: known.Network.Prefix, Subnet: known.Subnet, Pinned: known.Pinned}, nil
}
