// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"net/netip"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/statedir"
)

// KnownNetwork is the network that a state directory says its node is in; zero:
// in none, or it is not known. It locks nothing and changes nothing. A damaged
// file is no error here: [Open] reports it.
func KnownNetwork(stateDir string) (netip.Prefix, error) {
	lease, err := statedir.PeekLease(stateDir)
	if err != nil || lease == nil {
		return netip.Prefix{}, ofState(err)
	}
	known, err := core.Peek(lease)
	if err != nil {
		return netip.Prefix{}, nil
	}
	return known.Network.Prefix, nil
}
