// SPDX-License-Identifier: Apache-2.0

package fib

import (
	"net/netip"
	"slices"
)

// Detours asks the kernel where every part of the network goes, from each
// origin. It returns the parts that leave neither by the overlay device nor by
// a kernel path. ours is this node's own lease, which is not asked about.
func Detours(h Host, network, ours netip.Prefix, device string, origins []Origin) ([]Detour, error) {
	var all []Detour
	for _, q := range questions(network, h, ours) {
		for _, from := range origins {
			a, err := Ask(q.address, from)
			if err != nil {
				return nil, err
			}
			if a.Device == device || a.KernelPath {
				continue
			}
			d := Detour{Prefix: q.prefix, From: []Origin{from}, Answer: a}
			if q.divider != nil {
				d.Remove = q.divider.Remove
				if a.Device == "" {
					d.Text += ": " + q.divider.Text
				}
			}
			all = append(all, d)
		}
	}
	return merge(all), nil
}

// merge joins detours that differ in the origin alone. It leaves out a detour
// inside another one that goes the same way. A bridge has routes to its
// subnet, to its own address and to the broadcast address.
func merge(detours []Detour) []Detour {
	var all []Detour
	for _, d := range detours {
		i := slices.IndexFunc(all, func(o Detour) bool { return o.Prefix == d.Prefix && o.Text == d.Text })
		if i >= 0 {
			all[i].From = append(all[i].From, d.From...)
			continue
		}
		all = append(all, d)
	}
	return slices.DeleteFunc(slices.Clone(all), func(d Detour) bool {
		return slices.ContainsFunc(all, func(o Detour) bool {
			return o.Device == d.Device && o.Prefix.Bits() < d.Prefix.Bits() && o.Prefix.Contains(d.Prefix.Addr()) && slices.Equal(o.From, d.From)
		})
	})
}
