// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"maps"
	"slices"
	"time"

	"flanneld/internal/plan"
	"flanneld/internal/probe"
)

// Peer is a peer with the paths that may lead to it.
type Peer struct {
	ID   string // node ID or static peer
	Ways []Way  // the most preferred one first
}

// Way is a path that is worth a try.
type Way struct {
	Path plan.Path
	// Key is what the path stands on: addresses, ports. When it changes, what
	// is known of the path is given up.
	Key string
	// Checksums are proven, too.
	Checksums bool
}

// Changes says what has changed with a call.
type Changes struct {
	Roles  bool // which paths are to be probed, and how often
	Proofs bool // what the plan stands on
}

// Add adds what another call has changed.
func (c *Changes) Add(other Changes) {
	c.Roles, c.Proofs = c.Roles || other.Roles, c.Proofs || other.Proofs
}

// Book knows for each peer and path how far its proof is. It is not safe for
// concurrent use.
type Book struct {
	random func() float64 // from 0 to 1
	peers  map[string]*peer
	moved  map[string]bool // see Moved
	next   time.Time       // see Next
}

type peer struct {
	ways    []Way
	entries map[plan.Path]*entry
}

// NewBook makes an empty one. random returns numbers from 0 to 1; it spreads
// tries.
func NewBook(random func() float64) *Book {
	return &Book{random: random, peers: map[string]*peer{}, moved: map[string]bool{}}
}

// Len is how many peers there are.
func (b *Book) Len() int { return len(b.peers) }

// Update replaces all peers. What is known of a peer and path stays, also while
// the path is not worth a try.
func (b *Book) Update(now time.Time, peers []Peer) (changed Changes) {
	before := b.peers
	b.peers = make(map[string]*peer, len(peers))
	for _, wanted := range peers {
		p := before[wanted.ID]
		if p == nil {
			p = &peer{entries: map[plan.Path]*entry{}}
		}
		b.peers[wanted.ID] = p
		changed.Add(p.want(wanted.Ways))
	}
	for id := range before {
		changed.Roles = changed.Roles || b.peers[id] == nil
	}
	changed.Add(b.tick(now))
	return changed
}

// Moved returns the peers with roles that have changed since the last call.
func (b *Book) Moved() []string {
	ids := slices.Collect(maps.Keys(b.moved))
	clear(b.moved)
	return ids
}

// Tick tries again what is due, and gives up what takes too long.
func (b *Book) Tick(now time.Time) (changed Changes) {
	if b.next.IsZero() || now.Before(b.next) {
		return changed
	}
	return b.tick(now)
}

func (b *Book) tick(now time.Time) (changed Changes) {
	b.next = time.Time{}
	for id, p := range b.peers {
		for _, e := range p.entries {
			changed.Add(b.expire(e, now))
		}
		changed.Add(b.settle(id, p, now))
	}
	return changed
}

// settle gives the paths of a peer their roles, and notes when it is to be done
// again.
func (b *Book) settle(id string, p *peer, now time.Time) Changes {
	changed := p.settle(now)
	if changed.Roles {
		b.moved[id] = true
	}
	for _, e := range p.entries {
		if due := e.due(b.patience()); !due.IsZero() && (b.next.IsZero() || due.Before(b.next)) {
			b.next = due
		}
	}
	return changed
}

// Next is when Tick has something to do; zero: not without an event. It may be
// too early.
func (b *Book) Next() time.Time { return b.next }

// Observe takes what probes have found on one path, by peer ID.
func (b *Book) Observe(now time.Time, path plan.Path, results map[string]probe.Result) (changed Changes) {
	for id, r := range results {
		p := b.peers[id]
		if p == nil {
			continue
		}
		e := p.entries[path]
		if e == nil {
			continue
		}
		changed.Add(b.judge(e, path, r, now))
		changed.Add(b.settle(id, p, now))
	}
	return changed
}

// Proof is what the plan is to know of a path. The user path is never failed:
// there is nothing to take instead.
func (b *Book) Proof(id string, path plan.Path) plan.Proof {
	e := b.entry(id, path)
	switch {
	case e == nil:
		return plan.Proof{}
	case !path.Kernel():
		if e.result.State == probe.Works {
			return plan.Proof{State: plan.Proven}
		}
		return plan.Proof{}
	case e.state == proven:
		return plan.Proof{State: plan.Proven}
	case e.failed:
		return plan.Proof{State: plan.Failed, Why: e.why}
	case e.state == proving:
		return plan.Proof{Why: "is being tried"}
	}
	return plan.Proof{Why: "is not tried while a better path works"}
}

// Role is how a path is to be probed; not ok: not at all.
func (b *Book) Role(id string, path plan.Path) (role probe.Role, ok bool) {
	e := b.entry(id, path)
	if e == nil {
		return role, false
	}
	return e.role, e.probed
}

// Result is what probes have found last; not ok: nothing yet.
func (b *Book) Result(id string, path plan.Path) (r probe.Result, ok bool) {
	e := b.entry(id, path)
	if e == nil {
		return r, false
	}
	return e.result, e.known
}

func (b *Book) entry(id string, path plan.Path) *entry {
	if p := b.peers[id]; p != nil {
		return p.entries[path]
	}
	return nil
}
