// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"log/slog"
	"net/netip"
	"sync"

	"flanneld/internal/plan"
	"flanneld/internal/seal"
	"flanneld/peers"
	"flanneld/route"
)

// Routes puts plans into effect. It hands the differences between two plans to
// every taker of routes. It keeps the forwarder's peer objects, so that
// counters and path MTUs outlive a change of routes. Its methods may be called
// concurrently.
type Routes struct {
	sealer *Sealer // nil: packets travel in the clear

	feed  route.Feed
	table route.Table // what the lanes forward by: the feed's first taker

	mu      sync.Mutex
	peers   map[string]*route.Peer // by plan.Route.ID
	plan    plan.Plan              // the newest
	entries []route.Entry          // of the plan, as the feed has them
	changes pathChanges

	// Of a sealed network:
	roamers map[*seal.Peer]*roamer
	roaming map[*roamer]bool // that have something to do
	onRoam  func(Roamed)     // nil: no function is told
	roams   uint64           // how often an endpoint has roamed, or come back
}

// NewRoutes makes an empty one.
func NewRoutes() *Routes {
	r := &Routes{peers: map[string]*route.Peer{}, changes: newPathChanges()}
	r.feed.Add(&r.table)
	return r
}

// Seal makes packets to all peers go sealed. It comes before the first plan.
func (r *Routes) Seal(with *Sealer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sealer, r.roaming = with, map[*roamer]bool{}
	with.routes.Store(r)
}

// AddTaker adds a taker of routes. It gets all routes there are, and from then
// on what changes with each plan.
func (r *Routes) AddTaker(s route.Sink) { r.feed.Add(s) }

// Store puts a plan into effect, and logs what is not reached as it asks for.
// The objects of nodes that are neither in the plan nor in the snapshot are
// given up, and their counters with them.
func (r *Routes) Store(p plan.Plan, s *peers.Snapshot, log *slog.Logger) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, note := range p.Notes {
		switch {
		case r.plan.Notes[id] == note || note.Text == plan.FromDisk:
		case note.Expected:
			log.Info("static peer", "entry", id, "state", note.Text)
		default:
			log.Warn("node is not routed", "node", id, "reason", note.Text)
		}
	}
	r.plan = p
	entries := r.bind(p, s)
	if err := r.feed.Store(entries); err != nil {
		return err
	}
	r.entries = entries
	return nil
}

// bind gives each route its peer object.
func (r *Routes) bind(p plan.Plan, s *peers.Snapshot) []route.Entry {
	keep := make(map[string]bool, len(s.Nodes))
	for _, n := range s.Nodes {
		keep[n.ID.String()] = true
	}
	var sessions map[string]session
	var roamers map[*seal.Peer]*roamer
	if r.sealer != nil {
		sessions = r.sealer.follow(p, s)
		roamers = make(map[*seal.Peer]*roamer, len(sessions))
	}
	entries := make([]route.Entry, 0, len(p.Routes))
	for _, planned := range p.Routes {
		e := route.Entry{Prefix: planned.Prefix, Kind: planned.Lanes()}
		if planned.Kind != route.Local {
			with, to := sessions[planned.ID], planned.Endpoint
			var w *roamer
			if with.Peer != nil {
				w = r.followRecord(roamers, planned, with)
				to = w.endpoint()
			}
			e.Peer = r.bindPeer(planned, to)
			e.Peer.Seal(with.Peer)
			if w != nil {
				w.peer = e.Peer
			}
			keep[planned.ID] = true
		}
		entries = append(entries, e)
	}
	for id := range r.peers {
		if !keep[id] {
			delete(r.peers, id)
		}
	}
	r.changes.follow(p, keep)
	if r.sealer != nil {
		r.keepRoamers(roamers)
	}
	return entries
}

func (r *Routes) bindPeer(planned plan.Route, to netip.AddrPort) *route.Peer {
	p, ok := r.peers[planned.ID]
	if !ok || p.Name() != planned.Name {
		p = route.NewPeer(planned.Name, to, planned.MTU)
		r.peers[planned.ID] = p
	} else {
		p.Update(to, planned.MTU)
	}
	return p
}

// Lookup finds the next hop of an address, and the plan for it.
func (r *Routes) Lookup(a netip.Addr) (next route.NextHop, planned plan.Route, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if next, ok = r.table.Lookup(a); ok {
		planned, ok = r.plan.Find(next.Prefix)
	}
	return next, planned, ok
}

// Plan is the newest plan.
func (r *Routes) Plan() plan.Plan {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.plan
}

// Peer finds the peer object of a [plan.Route.ID]; nil where there is none.
func (r *Routes) Peer(key string) *route.Peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.peers[key]
}

// TooLarge counts, by node ID or static peer, the packets that were larger than
// the device.
func (r *Routes) TooLarge() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := make(map[string]uint64, len(r.peers))
	for id, p := range r.peers {
		counts[id] = p.TooLarge()
	}
	return counts
}
