// SPDX-License-Identifier: Apache-2.0

package core

import (
	"crypto/hmac"
	"crypto/sha256"
	"net/netip"
	"time"

	"flanneld/peers/internal/record"
)

// A holder bounds what it promises to newcomers. A newcomer must be reachable
// at the address that it announces, and one address gets only so many leases.
const (
	// maxPerAddress is how many nodes at one underlay address get leases. A
	// network on loopback is exempt: all of its nodes are on one host.
	maxPerAddress = 8
	// New leases that a holder promises: a burst for a mass start, then one
	// each newEvery. maxUnresolved is how many unused promises a holder
	// keeps for one node. A claimant has one claim at a time, and gives
	// back the rest of earlier ones when it is reminded.
	maxUnresolved = 4
	newBurst      = 2048
	newEvery      = 5 * time.Second

	cookieLen = 16
)

// cookie proves that the sender of a question receives our answers. It is
// derived, not stored: a stranger cannot make this node remember anything.
func (c *Core) cookie(from record.NodeID) []byte {
	mac := hmac.New(sha256.New, c.secret[:])
	mac.Write(from[:])
	return mac.Sum(nil)[:cookieLen]
}

// proven reports whether the sender of a question is a member, or has shown
// that our answers reach it at the address in its node record.
func (c *Core) proven(m record.Ask) bool {
	if c.isUp(m.From) {
		return true
	}
	return hmac.Equal(m.Cookie, c.cookie(m.From)) && c.table.Nodes[m.From] != nil
}

// isCrowded reports whether a new lease for a node would be one too many, and
// why.
func (c *Core) isCrowded(m record.Ask) (reason string, crowded bool) {
	if c.ledger.of(m.Slot).answers(m) {
		return "", false
	}
	if c.ledger.countUnresolved(m.Slot, m.From) >= maxUnresolved {
		return "earlier claims of this node are not settled yet", true
	}
	if c.table.HeldBy(m.From) != nil {
		return "", false
	}
	at := c.addressOf(m.From)
	if at.IsValid() && !at.IsLoopback() && c.leasesAt(at, m.From) >= maxPerAddress {
		return "8 subnets are held or asked for by other nodes at " + at.String() +
			": free those of dead ones with `flanneld forget ID`, `flanneld nodes` lists them", true
	}
	if !c.newcomers.take(c.now, newBurst, newEvery) {
		return "too many new nodes at once: wait", true
	}
	return "", false
}

// leasesAt counts the leases and promises of nodes at an address, but for one.
func (c *Core) leasesAt(at netip.Addr, but record.NodeID) int {
	nodes := map[record.NodeID]bool{}
	for id := range c.table.Held {
		if id != but && c.addressOf(id) == at {
			nodes[id] = true
		}
	}
	c.ledger.claimantsAt(at, but, c.addressOf, nodes)
	return len(nodes)
}
