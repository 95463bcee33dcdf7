// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/record"
)

// Snapshot is what a node knows at one moment. It is immutable: neither reader
// nor [Node] changes it.
type Snapshot struct {
	// View is what the core knows. Its nodes are ordered by subnet, then
	// name, then ID, the ones without a subnet last.
	View
	Self NodeInfo
	// Unwritten says in one line why the state directory cannot be written to,
	// "" while it can: until then the node promises and confirms nothing.
	Unwritten string
	Sealed    bool // gossip is encrypted and authenticated with the cluster key
	// Dropped counts gossip that was not taken in: malformed, of another
	// network, or more than there was room for.
	Dropped uint64
	Gossip  GossipTraffic
}

// GossipTraffic is what gossip has sent and received since the process began,
// without the headers of UDP, TCP and IP, and what waits to be sent.
type GossipTraffic struct {
	DatagramsSent, DatagramsReceived         uint64
	DatagramBytesSent, DatagramBytesReceived uint64
	StreamBytesSent, StreamBytesReceived     uint64
	// Messages wait in the queue of broadcasts, with so many bytes together.
	QueuedMessages, QueuedBytes int
	// Lag is how long what arrives waits for this node: 0 to 2 s. It is next to
	// nothing, unless other programs have the processors.
	Lag time.Duration
}

// A lease has one model from claim to snapshot, the core's.
type (
	// View is what the core of a node knows.
	View = core.View
	// NodeInfo is one node as this one sees it.
	NodeInfo = core.NodeInfo
	// Lease is a node's hold on a subnet.
	Lease = core.Lease
	// Ballot is this node's asking for a subnet.
	Ballot = core.Ballot
	// Conflict is a subnet that two nodes held.
	Conflict = core.Conflict
	// Fill is how full a table is: "nodes", "leases", "forgotten",
	// "promises" or "members". Limit 0: bounded elsewhere.
	Fill = core.Fill
	// State is how a node is doing, as gossip reports it.
	State = core.NodeState
	// LeaseState is how far this node's own lease has come.
	LeaseState = core.LeaseState
)

// What the core knows is made of parts of records.
type (
	// NodeID names a node for good. Zero: no node.
	NodeID = record.NodeID
	// NetworkID names a network for good. Zero: no network.
	NetworkID = record.NetworkID
	// Network is the identity of a network and what its founding node fixed
	// for all.
	Network = record.Network
	// Capability is something that a node announces to understand: a number,
	// and parameters in the format that belongs to it. What the numbers mean
	// is not this package's business.
	Capability = record.Capability
)

// The states of a node. Left: it handed its lease back and went.
const (
	Dead    = core.NodeDead
	Suspect = core.NodeSuspect
	Alive   = core.NodeAlive
	Left    = core.NodeLeft
)

// The states of the own lease, in the order they are passed through. Only a
// Confirmed lease may be used; a Lost one went to another node.
const (
	None       = core.LeaseNone       // no lease, and none being claimed
	Joining    = core.LeaseJoining    // has to join before it may claim
	Claiming   = core.LeaseClaiming   // asking the lease holders
	Announcing = core.LeaseAnnouncing // decided and on disk, being told to the others
	Confirmed  = core.LeaseConfirmed
	Lost       = core.LeaseLost
)

// NodesByID finds the nodes of the snapshot by their IDs.
func (s *Snapshot) NodesByID() map[NodeID]NodeInfo {
	nodes := make(map[NodeID]NodeInfo, len(s.Nodes))
	for _, n := range s.Nodes {
		nodes[n.ID] = n
	}
	return nodes
}
