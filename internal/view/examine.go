// SPDX-License-Identifier: Apache-2.0

package view

import (
	"net/netip"

	"flanneld/internal/control"
	"flanneld/internal/problem"
	"flanneld/peers"
)

// PathTo is the state of the data path to a node, as this node sees it, "" for
// none.
func (v *View) PathTo(id peers.NodeID) string {
	r, ok := routesByID(v.Routes.Plan())[id.String()]
	if !ok {
		return control.PathNone
	}
	return pathInUse(r, v.paths()).State
}

// StrayOf is the underlay address from which packets of a node have come, where
// that is no node's; invalid where there were none.
func (v *View) StrayOf(id peers.NodeID) (from netip.Addr) {
	if p := v.Routes.Peer(id.String()); p != nil {
		from = p.Stray()
	}
	return from
}

// ExaminedOf is what another node answered, as control has it.
func ExaminedOf(e peers.Examined) control.ExaminedNode {
	out := control.ExaminedNode{
		NodeName: control.NodeName{ID: e.Node.ID.String(), Name: e.Node.Name}, State: e.Node.State.String(),
		Answered: e.Answered(), UDPThere: e.Datagrams.There, UDPBack: e.Datagrams.Here, TCPThere: e.Streams.There, TCPBack: e.Streams.Here,
		Version: e.Version, Path: e.Path, Stray: e.Stray, ClockAhead: control.SecondsOf(e.Offset), ClockWithin: control.SecondsOf(e.Within),
	}
	for _, err := range []error{e.Err, e.Dial} {
		if err != nil && out.Dial == "" {
			out.Dial = problem.OneLine(err.Error())
		}
	}
	return out
}
