// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"time"

	"flanneld/peers"
)

// SeenTime is how long after the first other node was seen alive gossip may
// take to report the rest. A node that it has not reported by then is dead.
const SeenTime = 30 * time.Second

// Seen knows which nodes gossip has seen alive since this start. The others are
// in the node table from an earlier start, and shown as dead because gossip has
// not seen them yet. But most are alive. Packets to them must not be answered
// with errors at every restart, nor at all while gossip reaches no node. The
// zero value has seen none. It is not safe for concurrent use.
type Seen struct {
	nodes  map[peers.NodeID]bool
	closed bool // every node that was not seen is dead
}

// Add notes the nodes that are alive in a snapshot. It reports whether they are
// the first ones: SeenTime begins now.
func (s *Seen) Add(snapshot *peers.Snapshot) (first bool) {
	for _, n := range snapshot.Nodes {
		if n.Self || !live(n) {
			continue
		}
		if s.nodes == nil {
			s.nodes, first = map[peers.NodeID]bool{}, true
		}
		s.nodes[n.ID] = true
	}
	return first
}

// Close ends the time: from now on the node table's states count.
func (s *Seen) Close() { s.closed = true }

// Unseen reports whether the state of a node is only remembered.
func (s *Seen) Unseen(id peers.NodeID) bool { return !s.closed && !s.nodes[id] }
