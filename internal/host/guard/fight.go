// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"fmt"
	"time"

	"flanneld/internal/problem"
)

// Rules that are put back fightRepairs times within fightTime are a fight with
// another program, and worth a problem.
const (
	fightRepairs = 5
	fightTime    = time.Minute
)

// fight is when the rules were put back lately.
type fight struct{ repairs []time.Time }

// add counts a repair if there was one, and names a program that undoes them
// all the time.
func (f *fight) add(repaired bool, program string) (problem.Problem, bool) {
	now := time.Now()
	if repaired {
		f.repairs = append(f.repairs, now)
	}
	for len(f.repairs) > 0 && now.Sub(f.repairs[0]) > fightTime {
		f.repairs = f.repairs[1:]
	}
	if len(f.repairs) < fightRepairs {
		return problem.Problem{}, false
	}
	if program == "" {
		program = "another program"
	}
	return problem.Problem{
		Text:   fmt.Sprintf("firewall rules are taken away again and again by %s", program),
		Advice: "have that program leave the chains FLANNELD-* and the jumps to them alone",
	}, true
}
