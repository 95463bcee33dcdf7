// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"log/slog"
	"math"
	"net/netip"
	"time"

	"flanneld/peers/internal/gossip"
	"flanneld/peers/internal/record"
)

// Config is what a [Node] needs to know before it starts. The caller must not
// change it, nor what it points to, after [Open].
type Config struct {
	// StateDir holds identity, lease and node table. It is made, mode 0700,
	// where it is missing.
	StateDir string

	// Network is the overlay network. Zero: a founding node takes
	// [DefaultNetwork], any other learns it. A network that is not zero and not
	// the one learned ends Run with [ErrNetworkMismatch].
	Network netip.Prefix
	// SubnetLen is the prefix length of a lease. Zero: 24, or two more than the
	// network's where that is longer than 22.
	SubnetLen int
	// SubnetMin and SubnetMax are the first and last subnet handed out. Zero:
	// all but the network's first subnet.
	SubnetMin, SubnetMax netip.Addr
	// Subnet pins the lease: exactly this subnet or none. Zero: any.
	Subnet netip.Prefix
	// PinWaits lets this node wait while another node holds the pin, instead
	// of ending Run with [ErrSubnetHeld]. It is for a pin that an authority
	// gives to one node at a time: the other one is a node of the past.
	PinWaits bool
	// Reserved are subnets of other hosts that take no part in the gossip.
	// This node does not claim these. It promises one only to a node that
	// announces the underlay address of the host: it is that host.
	Reserved []Reservation
	// Prefer are subnets, or parts of subnets, to claim first where they are
	// free, the best one first. Subnets outside the network, or that are not
	// handed out, are passed over. A lease of one is not pinned.
	Prefer []netip.Prefix

	// Join lists seeds, host[:port]; without a port, [DefaultGossipPort]. A
	// node given one never founds a network.
	Join []string
	// Sources are asked for more seeds, as long as no seed answers. A node
	// given one never founds a network, unless Election lets it.
	Sources []Source
	// Election decides which node founds the network, where seeds or
	// sources are given. It is asked while this node is in no network, after
	// no seed has answered. An error that is an [ErrConfig] ends Run. Nil: a
	// node with seeds or sources founds nothing.
	Election Election

	// Advertise is the underlay address told to others, for data and for
	// gossip. IPv4.
	Advertise netip.Addr
	// Bind is the local address gossip listens on. Zero: all of this host's.
	Bind netip.Addr
	// GossipPort is taken for TCP and for UDP. Zero: one that is free (for
	// tests; a restart then moves).
	GossipPort uint16
	// DataPort is only announced here; the socket is not this package's.
	DataPort uint16

	// Name is shown to people, at most 253 bytes. It identifies nothing.
	Name string
	// MTU of the overlay device in bytes; announced.
	MTU int
	// Caps are announced to the other nodes: at most 16, with parameters of at
	// most 32 bytes each.
	Caps []Capability

	// LeaseTTL is how long a dead node keeps its subnet, as counted and judged
	// here. Zero: [DefaultLeaseTTL].
	LeaseTTL time.Duration

	// KeyFile holds the cluster key, see [NewKey]. Empty: the gossip is not
	// sealed.
	KeyFile string
	// Sealed founds or joins a network in which every packet is sealed. A
	// network of the other mode ends Run with [ErrNetworkMismatch]. It needs a
	// KeyFile.
	Sealed bool

	// OnConflict is what to do after the lease was lost to another node.
	OnConflict OnConflict
	// CheckNetwork is called once, before this node founds a network,
	// claims a lease or uses one. It gets the network's prefix and the
	// lease that this node held there when it stopped, zero for none. Its
	// error ends Run. It may take a moment, and must not call the Node.
	// Nil: any network will do.
	CheckNetwork func(network, lease netip.Prefix) error
	// InUse reports whether containers use this host's lease. It is asked from
	// time to time after a lease was lost, and must not call the Node. Nil:
	// never in use.
	InUse func() bool
	// Witness is what to tell a node that examines this one, see
	// [Node.Examine]. It must not wait, nor call the Node. Nil: nothing.
	Witness func(NodeID) Witness

	// Report says how this node is, to lease holders that ask with
	// [Node.Report]: at most [MaxReport] bytes. It is asked at most every 2 s,
	// may take some of that, and must not call the Node's commands. Nil: this
	// node reports nothing.
	Report func() []byte

	// Answer answers a lease holder that asks with [Node.Ask], at most
	// [MaxAnswer] bytes. One question can come several times. It must not
	// wait, nor call the Node's commands. An empty answer is not sent. Nil:
	// nothing is answered.
	Answer func(from NodeID, question []byte) []byte

	// Logger gets transitions, never one line a packet. Nil: nothing is logged.
	Logger *slog.Logger
}

// What a zero field of [Config] stands for.
const (
	DefaultGossipPort = gossip.DefaultPort
	DefaultLeaseTTL   = 24 * time.Hour
)

// DefaultNetwork is the network a founding node takes when it was told none.
var DefaultNetwork = record.DefaultPrefix

// SubnetLenFor is the prefix length of the leases of a network that was given
// none.
func SubnetLenFor(network netip.Prefix) int { return record.DefaultSubnetLen(network) }

// Lengths of Config's fields; the core checks how the network's fit together.
const (
	maxNameLen = 253 // RFC 1035 section 3.1: the longest host name
	maxPrefix  = 32
)

// Source finds seeds outside of gossip.
type Source = gossip.Source

// Election decides which one of several nodes without a network founds it.
type Election interface {
	// MayFound reports whether the node, whose gossip is at the endpoint, is
	// to found the network. The answer yes is final: the node founds, or has
	// founded when it is started again with the same state directory. The
	// reason says what is waited for where the answer is no.
	MayFound(ctx context.Context, id NodeID, at netip.AddrPort) (yes bool, reason string, err error)
}

// Reservation is the subnet of a host that takes no part in the gossip.
type Reservation struct {
	Subnet   netip.Prefix
	Endpoint netip.AddrPort // where the host takes packets; port 0: it has none
}

// complete fills in what was left open, and checks what the core does not.
func (c *Config) complete() error {
	switch {
	case c.StateDir == "":
		return failure(ErrConfig, "no state directory: name one with --state-dir")
	case !c.Advertise.Is4(), c.Advertise.IsUnspecified(), c.Advertise.IsMulticast():
		return failure(ErrConfig, "advertise address %s: want this host's IPv4 address on the underlay", c.Advertise)
	case c.Bind.IsValid() && !c.Bind.Is4():
		return failure(ErrConfig, "bind address %s: want an IPv4 address", c.Bind)
	case c.DataPort == 0:
		return failure(ErrConfig, "data port 0: want 1 to 65535 (--port)")
	case c.SubnetLen < 0 || c.SubnetLen > maxPrefix:
		return failure(ErrConfig, "subnet length %d: want 1 to %d (--subnet-len)", c.SubnetLen, maxPrefix)
	case len(c.Name) > maxNameLen:
		return failure(ErrConfig, "node name of %d bytes: at most %d (--node-name)", len(c.Name), maxNameLen)
	case c.MTU < 0 || c.MTU > math.MaxUint16:
		return failure(ErrConfig, "MTU %d: want at most %d (--mtu)", c.MTU, math.MaxUint16)
	case c.Sealed && c.KeyFile == "":
		return failure(ErrConfig, "a sealed network needs a cluster key: name its file with --key-file")
	case c.LeaseTTL < 0:
		return failure(ErrConfig, "lease TTL %s is negative (--lease-ttl)", c.LeaseTTL)
	}
	if c.LeaseTTL == 0 {
		c.LeaseTTL = DefaultLeaseTTL
	}
	return nil
}

// OnConflict is what the loser of a lease conflict does.
type OnConflict int

const (
	// Release hands the lost lease back and takes a new one as soon as no
	// container uses the lost one.
	Release OnConflict = iota
	// Wait takes no other lease until the node is started again. It takes
	// the lost one back when no other node holds that any more.
	Wait
)

// String returns the word the command line uses.
func (c OnConflict) String() string {
	if c == Wait {
		return "wait"
	}
	return "release"
}
