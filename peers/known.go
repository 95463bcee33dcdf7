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
	known, err := peek(stateDir)
	return known.Network.Prefix, known.Pinned, err
}

// KeptLease is the subnet of the confirmed lease in a state directory, zero
// without one. The node had it when it stopped: it is what
// [Config.CheckNetwork] would get. Like [KnownNetwork], it changes nothing.
func KeptLease(stateDir string) (netip.Prefix, error) {
	known, err := peek(stateDir)
	return known.Subnet, err
}

// peek reads the durable state of a node, zero where there is none.
func peek(stateDir string) (core.Remembered, error) {
	lease, err := statedir.PeekLease(stateDir)
	if err != nil || lease == nil {
		return core.Remembered{}, ofState(err)
	}
	known, err := core.Peek(lease)
	if err != nil {
		return core.Remembered{}, nil
	}
	return known, nil
}
