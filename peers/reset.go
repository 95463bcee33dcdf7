// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"errors"
	"log/slog"
	"net/netip"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/record"
	"flanneld/peers/internal/statedir"
)

// Reset is what [ResetState] has given up, and what it keeps.
type Reset struct {
	Node      NodeID       // the identity that is kept; zero where there was no state
	Network   NetworkID    // that was given up; zero where the node was in none
	Prefix    netip.Prefix // of that network
	Subnet    netip.Prefix // asked for at the next start; zero: none is remembered
	Others    int          // nodes for which this one keeps their subnets, for an hour
	SetAside  []string     // files that could not be read, by their new names
	WasInside bool         // there was a network or a node table to give up
}

// ResetState makes a stopped node give up its network: leases, promises and
// node table. The identity stays, and so does the wish for the subnet. The next
// start joins or founds a network as a newcomer, and claims that subnet first.
// It also keeps, for an hour of each start, the subnets of the other nodes that
// were known, so that no newcomer takes them.
//
// Nothing is changed where the directory is in use ([ErrStateLocked]) or was
// written by a newer version ([ErrStateNewer]). Neither is it where the
// identity cannot be read ([ErrStateCorrupt]), or the directory cannot be
// written to ([ErrState]). A crash on the way leaves the old state or the new
// one; the call may be repeated.
func ResetState(dir string, log *slog.Logger) (Reset, error) {
	if !statedir.HasState(dir) {
		return Reset{}, nil
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	d, err := statedir.Open(dir, log)
	if err != nil {
		return Reset{}, ofState(err)
	}
	r, err := reset(d)
	return r, errors.Join(err, ofState(d.Close()))
}

func reset(d *statedir.Dir) (Reset, error) {
	var given core.Given
	kept, err := d.Reset(func(node record.NodeID, lease, table []byte) (after []byte, err error) {
		after, given, err = core.Reset(node, lease, table)
		return after, err
	})
	r := Reset{Node: kept.Node, SetAside: kept.SetAside}
	if err != nil {
		return r, ofState(err)
	}
	r.Network, r.Prefix, r.Subnet, r.Others = given.Network.ID(), given.Network.Prefix, given.Subnet, given.Others
	r.WasInside = r.Prefix.IsValid() || kept.HadTable
	return r, nil
}
