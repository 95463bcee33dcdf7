// SPDX-License-Identifier: Apache-2.0

package dataplane

import "flanneld/encap"

// Offload is what became of one offload.
type Offload struct {
	Name string // see config.Offloads
	Used bool
	Note string // why not
}

// Offloads lists all offloads, always in the same order. One that a lane has
// lost counts as not used.
func (p *Plane) Offloads() []Offload {
	var all []Offload
	for _, o := range p.device.Offloads() {
		all = append(all, Offload(o))
	}
	var lanes [][]encap.OffloadState
	for _, socket := range p.sockets {
		lanes = append(lanes, socket.Offloads())
	}
	return append(all, joinOffloads(lanes)...)
}

// joinOffloads takes one list of offloads from those of all sockets.
func joinOffloads(lanes [][]encap.OffloadState) []Offload {
	var all []Offload
	for lane, states := range lanes {
		for i, o := range states {
			switch {
			case lane == 0:
				all = append(all, Offload(o))
			case all[i].Used && !o.Used:
				all[i] = Offload(o)
			}
		}
	}
	return all
}
