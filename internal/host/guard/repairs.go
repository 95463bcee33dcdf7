// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"maps"
	"sync"

	"flanneld/internal/host"
)

// repairs counts how often each part had to be put back. What flanneld sets up
// or adapts itself is no repair: the part was not in place as it is wanted now.
type repairs struct {
	mu     sync.Mutex
	placed map[string]bool // by name of the part
	count  map[string]uint64
}

func newRepairs(parts host.List) *repairs {
	r := &repairs{placed: map[string]bool{}, count: map[string]uint64{}}
	for _, p := range parts {
		r.count[p.Name()] = 0
	}
	return r
}

// ensured takes what an Ensure returned, and reports whether it was a repair.
func (r *repairs) ensured(p host.Part, changes []string, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	repaired := len(changes) > 0 && r.placed[p.Name()]
	if repaired {
		r.count[p.Name()]++
	}
	if err == nil {
		r.placed[p.Name()] = true
	}
	return repaired
}

// add counts a repair.
func (r *repairs) add(p host.Part) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count[p.Name()]++
}

// wanted notes that parts are wanted otherwise from now on; none: all of them.
func (r *repairs) wanted(parts ...host.Part) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(parts) == 0 {
		clear(r.placed)
	}
	for _, p := range parts {
		delete(r.placed, p.Name())
	}
}

// all returns the count of each part.
func (r *repairs) all() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.count)
}
