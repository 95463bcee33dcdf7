// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"maps"

	"flanneld/internal/plan"
)

// pathChanges counts how often packets to a peer have taken another path.
type pathChanges struct {
	used   map[string]plan.Path // by plan.Route.ID: the last one, also while there is none
	byPeer map[string]uint64    // by plan.Route.ID
	to     map[plan.Path]uint64 // by the new path
}

func newPathChanges() pathChanges {
	return pathChanges{used: map[string]plan.Path{}, byPeer: map[string]uint64{}, to: map[plan.Path]uint64{}}
}

// follow counts what a new plan changes. keep are the peers that are still
// known.
func (c *pathChanges) follow(p plan.Plan, keep map[string]bool) {
	for _, r := range p.Routes {
		if r.Path == "" {
			continue
		}
		if before := c.used[r.ID]; before != "" && before != r.Path {
			c.byPeer[r.ID]++
			c.to[r.Path]++
		}
		c.used[r.ID] = r.Path
	}
	gone := func(id string) bool { return !keep[id] }
	maps.DeleteFunc(c.used, func(id string, _ plan.Path) bool { return gone(id) })
	maps.DeleteFunc(c.byPeer, func(id string, _ uint64) bool { return gone(id) })
}

// PathChanges returns how often packets to a peer have taken another path
// since the daemon's start: by plan.Route.ID, and by the new path. A peer that
// is gone is in the second alone.
func (r *Routes) PathChanges() (byPeer map[string]uint64, to map[plan.Path]uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.changes.byPeer), maps.Clone(r.changes.to)
}
