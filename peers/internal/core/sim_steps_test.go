package core

// steps counts the transitions of claims, from one phase to another.
type steps [PhaseLost + 1][PhaseLost + 1]int64

func (s *steps) add(o *steps) {
	for from := range s {
		for to := range s[from] {
			s[from][to] += o[from][to]
		}
	}
}

// legal has the transitions that claims may take.
var legal = func() (l steps) {
	for _, t := range Transitions {
		l[t.From][t.To] = 1
	}
	return l
}()

// step takes note of a transition, which must be one that the core names.
func (w *world) step(h *host, from, to Phase) {
	w.steps[from][to]++
	if legal[from][to] == 0 {
		w.breaks("claim", "%s goes from %s to %s, which is no transition", h.config.Name, from, to)
	}
}
