// SPDX-License-Identifier: Apache-2.0

package sim

import "flanneld/peers/internal/core"

// Steps counts the transitions of claims, from one phase to another.
type Steps [core.PhaseLost + 1][core.PhaseLost + 1]int64

func (s *Steps) add(o *Steps) {
	for from := range s {
		for to := range s[from] {
			s[from][to] += o[from][to]
		}
	}
}

// legal has the transitions that claims may take.
var legal = func() (l Steps) {
	for _, t := range core.Transitions {
		l[t.From][t.To] = 1
	}
	return l
}()

// step takes note of a transition, which must be one that the core names.
func (w *World) step(h *Host, from, to core.Phase) {
	w.steps[from][to]++
	if legal[from][to] == 0 {
		w.breaks("claim", "%s goes from %s to %s, which is no transition", h.Config.Name, from, to)
	}
}
