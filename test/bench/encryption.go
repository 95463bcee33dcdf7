// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
)

// encryption is a small table of what sealing costs: each sealed path beside
// wireguard-go and beside flanneld's user space, which carries the same packets
// in the clear. It is empty if there is nothing to compare.
func (c Comparison) encryption() string {
	type column struct{ path, base Path }
	var columns []column
	rows := [][]string{{"ratios of sealed paths"}}
	for _, base := range c.named(wireguardGo, userSpace) {
		for _, p := range c.measured() {
			if p.sealed() {
				columns = append(columns, column{p, base})
				rows[0] = append(rows[0], p.Title+", to "+base.Title)
			}
		}
	}
	for _, m := range metricsOf(c.Keys) {
		row, known := []string{m.headline()}, false
		for _, col := range columns {
			cell := "-"
			if of, to := col.path.Results[m.key], col.base.Results[m.key]; len(of.Rounds) > 0 && to.Median != 0 {
				cell, known = fmt.Sprintf("%.2fx", of.Median/to.Median), true
			}
			row = append(row, cell)
		}
		if known && !m.share {
			rows = append(rows, row)
		}
	}
	if len(rows) == 1 {
		return ""
	}
	return grid(rows)
}

// sealed reports whether the path is flanneld in a sealed network.
func (p Path) sealed() bool {
	return slices.ContainsFunc(kinds, func(k kind) bool { return k.name == p.Name && k.sealed })
}

// named are the paths of these names that were measured, in the order of the
// names.
func (c Comparison) named(names ...string) (paths []Path) {
	for _, name := range names {
		for _, p := range c.measured() {
			if p.Name == name {
				paths = append(paths, p)
			}
		}
	}
	return paths
}
