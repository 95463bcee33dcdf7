// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"slices"
	"time"

	"flanneld/internal/plan"
	"flanneld/internal/probe"
)

// want takes the ways that are worth a try now.
func (p *peer) want(ways []Way) (changed Changes) {
	p.ways = slices.Clone(ways)
	for _, e := range p.entries {
		e.wanted = false
	}
	for _, w := range ways {
		e := p.entries[w.Path]
		if e == nil || e.key != w.Key {
			changed.Proofs = changed.Proofs || e != nil && (e.state == proven || e.failed)
			changed.Roles = true
			e = &entry{key: w.Key, sums: w.Checksums}
			if w.Path == plan.PathShortcut {
				e.soon = soonTries
			}
			p.entries[w.Path] = e
		}
		e.wanted = true
	}
	return changed
}

// settle gives each path its role: paths are tried down to the first one that
// works. What stands behind the user path is not wanted: that one always works.
func (p *peer) settle(now time.Time) (changed Changes) {
	covered := false // a more preferred path works
	for _, w := range p.ways {
		e := p.entries[w.Path]
		e.open = !covered
		if !w.Path.Kernel() {
			changed.Add(e.play(true, userRole(covered)))
			covered = true
			continue
		}
		changed.Add(e.advance(covered, now))
		covered = covered || e.state == proven
	}
	for _, e := range p.entries {
		if !e.wanted {
			e.open = false
			changed.Add(e.advance(true, now))
			changed.Add(e.play(false, probe.Only))
		}
	}
	return changed
}

// userRole is the role of the user path.
func userRole(covered bool) probe.Role {
	if covered {
		return probe.Reserve
	}
	return probe.Only
}

// advance moves a path on that is wanted, or not because another one covers it.
func (e *entry) advance(covered bool, now time.Time) (changed Changes) {
	before := e.state
	switch {
	case covered && (e.state == proving || e.state == proven):
		e.become(resting, now)
	case !covered && e.state == resting, !covered && e.state == left && !now.Before(e.until):
		e.become(proving, now)
	}
	changed.Proofs = before != e.state && !e.failed
	role := probe.Chosen
	if e.failed {
		role = probe.Trial
	}
	changed.Add(e.play(e.state == proving || e.state == proven, role))
	return changed
}

// play gives a path its role.
func (e *entry) play(probed bool, role probe.Role) Changes {
	changed := e.probed != probed || probed && e.role != role
	e.probed, e.role = probed, role
	return Changes{Roles: changed}
}
