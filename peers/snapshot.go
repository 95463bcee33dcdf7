// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"net/netip"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/record"
)

// Snapshot is what a node knows at one moment. It is immutable: neither reader
// nor [Node] changes it.
type Snapshot struct {
	Network Network // zero Prefix: not yet known
	Self    NodeInfo
	Lease   LeaseState
	// Waiting says in one line what the node is waiting for, "" when for
	// nothing.
	Waiting string
	// Unwritten says in one line why the state directory cannot be written to,
	// "" while it can: until then the node promises and confirms nothing.
	Unwritten string
	Claim     *Claim // under way; nil: none
	// PromisedBy are the IDs of the lease holders that promised this node its
	// lease; empty where it was granted before this start, or confirmed by the
	// node itself because there was no holder to ask.
	PromisedBy []string
	Nodes      []NodeInfo // all, this one included, by subnet, then name, then ID; without a subnet last
	Conflicts  []Conflict
	Sealed     bool // gossip is encrypted and authenticated with the cluster key
	// Dropped counts gossip that was not taken in: malformed, of another
	// network, or more than there was room for.
	Dropped uint64
	Fill    []Fill // how full the node table and its like are
}

// Fill is how full a table is: "nodes", "leases", "forgotten", "promises" or
// "members". Limit 0: bounded elsewhere.
type Fill = core.Fill

// Network is the identity of a network and what its founding node fixed for
// all.
type Network struct {
	ID                   string // 32 hexadecimal digits
	Prefix               netip.Prefix
	SubnetLen            int
	SubnetMin, SubnetMax netip.Addr
}

// NodeInfo is one node as this one sees it.
type NodeInfo struct {
	ID, Name string // ID: 26 characters, lower-case base32
	State    State
	Self     bool
	Lease    Lease          // zero Prefix: none
	Endpoint netip.AddrPort // of the data socket
	Gossip   netip.AddrPort
	MTU      int           // of its overlay device, bytes
	Caps     []Capability  // what the node announces that it understands
	RTT      time.Duration // of the last gossip probe; zero: not measured
	Start    uint64        // how often it has been started, or has moved to another underlay address
	Since    time.Duration // how long it has been in State, for this observer
	// ReplacedBy is the ID of the node that has this dead one's endpoint
	// and got its lease later: the host was set up anew. "": none.
	ReplacedBy string
	Old        bool // known from version 0.1 only: it has not been upgraded, and takes no part
}

// Capability is something that a node announces to understand: a number, and
// parameters in the format that belongs to it. What the numbers mean is not
// this package's business.
type Capability = record.Capability

// Lease is a node's claim on a subnet.
type Lease struct {
	Prefix netip.Prefix
	Epoch  uint64 // of the subnet: rises with each holder
	Pinned bool
	// Electors is how many lease holders were to decide, Promises how many
	// agreed.
	Electors, Promises int
	Held               time.Duration // how long this holder has been known here
}

// Claim is this node's asking for a subnet.
type Claim struct {
	Prefix            netip.Prefix
	Epoch             uint64
	Electors, Needed  int      // how many lease holders decide, and how many have to promise
	Promised, Missing []string // IDs of the nodes that have promised, and of the ones that have not answered
}

// Conflict is a subnet that two nodes claim.
type Conflict struct {
	Prefix        netip.Prefix
	Winner, Loser string // node IDs
	Since         time.Duration
}

// State is how a node is doing, as gossip reports it.
type State int

// The states of a node. Left: it handed its lease back and went.
const (
	Dead State = iota
	Suspect
	Alive
	Left
)

var stateNames = [...]string{Dead: "dead", Suspect: "suspect", Alive: "alive", Left: "left"}

// String returns "alive", "suspect", "dead" or "left".
func (s State) String() string { return stateNames[s] }

// LeaseState is how far this node's own lease has come.
type LeaseState = core.LeaseState

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
func (s *Snapshot) NodesByID() map[string]NodeInfo {
	nodes := make(map[string]NodeInfo, len(s.Nodes))
	for _, n := range s.Nodes {
		nodes[n.ID] = n
	}
	return nodes
}
