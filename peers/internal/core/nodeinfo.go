// SPDX-License-Identifier: Apache-2.0

package core

import (
	"net/netip"
	"time"

	"flanneld/peers/internal/record"
)

// NodeInfo is one node as this one sees it.
type NodeInfo struct {
	ID       record.NodeID
	Name     string
	State    NodeState
	Self     bool
	Lease    Lease          // zero Prefix: none
	Endpoint netip.AddrPort // of the data socket
	Gossip   netip.AddrPort
	MTU      int // of its overlay device, bytes
	// Caps are what the node announces that it understands. What they point
	// to must not be changed.
	Caps []record.Capability
	// SealKey is the node's public key for sealed datagrams, 32 bytes, or
	// empty. It must not be changed.
	SealKey []byte
	RTT     time.Duration // of the last gossip probe; zero: not measured. The core measures none
	// Instance is a random number, new for each start of the process. A move to
	// another underlay address keeps it.
	Instance uint64
	Start    uint64        // how often it has been started, or has moved to another underlay address
	Since    time.Duration // how long it has been in State, for this observer
	// ReplacedBy is the node that has this dead one's endpoint and got its
	// lease later. The host was set up anew, and the dead node can be
	// forgotten. Zero: none.
	ReplacedBy record.NodeID
	Old        bool // known from version 0.1 only: it has not been upgraded, and takes no part
}

// Lease is a node's hold on a subnet.
type Lease struct {
	Prefix netip.Prefix
	Epoch  uint64 // of the subnet: rises with each holder
	Pinned bool
	// Electors is how many lease holders were to decide, Promises how many
	// agreed.
	Electors, Promises int
	Held               time.Duration // how long this holder has been known here
}

// NodeState is how a node is doing, as gossip reports it.
type NodeState uint8

// The states of a node. NodeLeft: it handed its lease back and went.
const (
	NodeDead NodeState = iota
	NodeSuspect
	NodeAlive
	NodeLeft
)

var nodeStateNames = [...]string{NodeDead: "dead", NodeSuspect: "suspect", NodeAlive: "alive", NodeLeft: "left"}

// stateOf is the state of a node with a record.
func (m member) stateOf(r *record.NodeRecord) NodeState {
	switch {
	case r.Left:
		return NodeLeft
	case !m.up:
		return NodeDead
	case m.suspect:
		return NodeSuspect
	}
	return NodeAlive
}

// String returns "alive", "suspect", "dead" or "left".
func (s NodeState) String() string { return nodeStateNames[s] }
