// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"flanneld/internal/control"
)

// Of makes the report of a node from its status and node table.
func Of(s control.Status, n control.Nodes) Report {
	r := Report{
		Version: clip(s.Version, maxName), Uptime: seconds(s.Uptime), OK: s.OK, Lease: s.Lease.State, MTU: uint16(s.Device.MTU),
		Paths: Paths{Works: small(s.Paths.Works), SmallOnly: small(s.Paths.SmallOnly), Failed: small(s.Paths.Failed), Unproven: small(s.Paths.Unproven)},
		Out:   traffic(s.Egress), In: traffic(arrived(s)), Sealed: s.Security.GossipSealed,
	}
	for _, p := range s.Problems[:min(len(s.Problems), maxProblems)] {
		r.Problems = append(r.Problems, Problem{Part: clip(p.Part, maxName), Text: clip(p.Text, maxText), Advice: clip(p.Advice, maxText), Since: seconds(p.Since)})
	}
	for _, o := range s.Offloads[:min(len(s.Offloads), maxOffloads)] {
		r.Offloads = append(r.Offloads, Offload{Name: clip(o.Name, maxName), Used: o.Used, Note: clip(o.Note, maxText)})
	}
	for _, b := range s.Backend.Paths[:min(len(s.Backend.Paths), maxBackends)] {
		r.Backends = append(r.Backends, Backend{Path: clip(b.Path, maxName), Peers: small(b.Peers), Unavailable: clip(b.Unavailable, maxText)})
	}
	r.Shortcut = Shortcut{
		Ready: s.Shortcut.Ready, Why: clip(s.Shortcut.Why, maxText), Peers: small(s.Shortcut.Peers), Out: traffic(s.Shortcut.Egress), In: traffic(s.Shortcut.Ingress),
	}
	for _, kind := range slices.SortedFunc(maps.Keys(s.Drops), func(a, b string) int { return cmp.Compare(s.Drops[b], s.Drops[a]) }) {
		if count := s.Drops[kind]; count > 0 && len(r.Drops) < maxDrops {
			r.Drops = append(r.Drops, Drop{Kind: clip(kind, maxName), Count: count})
		}
	}
	r.addPeers(n.Nodes)
	return r
}

// arrived is all that came from peers: through flanneld, and by kernel paths.
func arrived(s control.Status) control.Traffic {
	in := s.Ingress
	for _, t := range s.Arrived {
		in.Packets += t.Packets
		in.Bytes += t.Bytes
	}
	return in
}

func (r *Report) addPeers(nodes []control.Node) {
	for _, n := range nodes {
		if id := ShortID(n.ID); !n.Self && id != nil {
			r.Peers = append(r.Peers, peerOf(n, id))
		}
	}
	slices.SortStableFunc(r.Peers, func(a, b Peer) int { return urgency(a) - urgency(b) })
	if more := len(r.Peers) - MaxPeers; more > 0 {
		r.Peers, r.Others = r.Peers[:MaxPeers], more
	}
}

// urgency orders peers: those first that are alive and not reached.
func urgency(p Peer) int {
	switch p.ProofName() {
	case control.PathFailed:
		return 0
	case control.PathSmallOnly:
		return 1
	case control.PathUnproven:
		return 2
	case control.PathWorks:
		return 4
	}
	return 3
}

func peerOf(n control.Node, id []byte) Peer {
	p := Peer{
		ID: id, State: number(states, n.State), Proof: number(proofs, n.Path.State),
		RTT: micros(n.Path.RTT), Sent: count(n.Path.Sent), Lost: count(n.Path.Lost),
		Out: n.Egress.Bytes, In: n.Ingress.Bytes,
	}
	for _, way := range n.Paths {
		if way.Used {
			p.Path = number(paths, way.Name())
		}
		p.In += way.Arrived.Bytes
	}
	return p
}

func traffic(t control.Traffic) Traffic { return Traffic{Packets: t.Packets, Bytes: t.Bytes} }

func seconds(s control.Seconds) uint32 { return uint32(min(max(0, float64(s)), math.MaxUint32)) }
func micros(s control.Seconds) uint32  { return uint32(min(max(0, float64(s)*1e6), math.MaxUint32)) }
func count(n uint64) uint32            { return uint32(min(n, math.MaxUint32)) }
func small(n int) uint16               { return uint16(min(max(0, n), math.MaxUint16)) }
