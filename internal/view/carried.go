// SPDX-License-Identifier: Apache-2.0

package view

import "flanneld/internal/control"

// Carried is what status counts of overlay packets: those that left, those that
// came, also by kernel paths, and those that were dropped. It costs less than a
// status.
func (v *View) Carried() (out, in control.Traffic, dropped uint64) {
	sum := v.Totals.Sum()
	out, in = control.Traffic(sum.Egress), control.Traffic(sum.Ingress)
	for _, n := range sum.Drops {
		dropped += n
	}
	if m := v.Live().Monitor; m != nil {
		_, byPath := m.Arrived()
		for _, t := range byPath {
			in.Packets += t.Packets
			in.Bytes += t.Bytes
		}
	}
	return out, in, dropped
}

// Carried is nothing.
func (w *Waiting) Carried() (out, in control.Traffic, dropped uint64) { return }
