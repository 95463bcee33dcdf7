// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"net/netip"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/statedir"
)

// KnownNetwork is the network that a state directory says its node is in; zero:
// in none, or it is not known. pinned reports whether the node's lease there
// was asked for by [Config.Subnet]. It locks nothing and changes nothing. A
// damaged file is no error here: [Open] reports it.
func KnownNetwork(stateDir string) (network netip.Prefix, pinned bool, err error) {
	lease, err := statedir.PeekLease(stateDir)
	if err != nil || lease == nil {
		return netip.Prefix{}, false, ofState(err)
	}
	known, err := core.Peek(lease)
	if err != nil {
		return netip.Prefix{}, false, nil
	}
	return known.Network.Prefix, known.Pinned, nil
}
