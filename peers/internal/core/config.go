// SPDX-License-Identifier: Apache-2.0

package core

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"flanneld/peers/internal/record"
)

// Time is the time since the core's start, on a clock that only runs forward.
type Time = time.Duration

// Config is what a core is made with.
type Config struct {
	Identity record.Identity
	Instance uint64 // random, new for each start
	Name     string
	Endpoint netip.AddrPort // announced for datagrams
	Gossip   netip.AddrPort // announced for gossip
	MTU      uint16
	Pin      netip.Prefix  // the subnet to hold, or zero for any
	PinWaits bool          // while another node holds the pin; else that is fatal
	LeaseTTL time.Duration // how long a dead node keeps its subnet
	// Reserved are subnets that belong to other hosts outside of the
	// gossip.
	Reserved []Reservation
	// Prefer are the subnets to claim first where they are free, the best
	// one first. A part of a subnet stands for the whole of it. Any other
	// prefix is passed over.
	Prefer []netip.Prefix
	// MayFound lets a node that is in no network found one.
	MayFound bool
	// Want is the network asked for; zero fields are open.
	Want record.Network
	// Amnesia says that a durable state existed and was lost, and with it
	// perhaps promises. A lost table counts, too: the node does not know
	// which other nodes hold a lease.
	Amnesia bool
	Rand    *rand.Rand
	// Caps are announced in the node record, each with its parameters. New
	// refuses more than 16, and parameters of more than 32 bytes. The slice
	// must not be changed afterwards.
	Caps []record.Capability
	// SealKey is announced in the node record: the public key for sealed
	// datagrams, 32 bytes. Nil: the node takes none.
	SealKey []byte

	// Signer makes and checks signatures; nil: Ed25519.
	Signer record.Signer
	// MaxVersion is the highest version of messages that is read and sent;
	// 0: record.MessageVersionMax.
	MaxVersion byte
}
