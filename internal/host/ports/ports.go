// SPDX-License-Identifier: Apache-2.0

// Package ports keeps an nftables table in front of the members' ports.
//
// A member accepts a datagram by the address it comes from. So every program
// that sends with a member's address could pass for that member: a container
// behind masquerading, or an unprivileged process. The table stops them where
// they send:
//
//	forward  what another namespace sends to a member's port is dropped
//	output   what another user than root and the daemon sends there is dropped
//	input    what comes by a bridge or a container's device to this host's
//	         own ports is dropped
//
// Kernels such as 5.10 can tell a forged source in the hook prerouting only.
// There, one chain at that hook does the work of forward and input.
//
// A drop in any base chain is final in nf_tables, so no rule of another table
// can let such a packet pass. The hooks see a packet after destination NAT and
// before source NAT. Root, also root in a container with the host's network,
// may still send: it could take the table away just as well.
//
// The table is written by netlink in one transaction, needs no nft command,
// and stays when the daemon stops. It needs Linux 5.1 (meta iifkind).
package ports

import (
	"errors"
	"fmt"
	"net/netip"

	"flanneld/internal/host/nft"
	"flanneld/internal/host/rtnl"
	"flanneld/internal/packet"
	"flanneld/internal/valid"
)

// ErrPlatform is the error on other systems than Linux.
var ErrPlatform = errors.New("ports: flanneld runs on Linux only")

// TableName is the name of the device's table, of family ip.
func TableName(device string) string { return nft.TablePrefix + device }

// Member is a host with protected ports.
type Member struct {
	Addr   netip.Addr // its endpoint's address, IPv4
	Data   uint16     // UDP; 0: none
	Gossip uint16     // UDP and TCP; 0: none, as static peers have
	Self   bool       // this host
}

// Config is what the table is about.
type Config struct {
	Device string // the overlay device; nothing that comes by it is let in
	UID    uint32 // the daemon's user, which may send beside root
	// Underlay names the devices by which other hosts are reached, whatever
	// kind they are: an underlay may be a bridge.
	Underlay []string
	Members  []Member
}

// maxMembers bounds the sets. It is far above what a network holds.
const maxMembers = 1 << 16

// Validate reports what is wrong with a configuration.
func (c Config) Validate() error {
	if !valid.Device(c.Device) {
		return fmt.Errorf("ports: %q cannot be the overlay device's name", c.Device)
	}
	if len(c.Members) > maxMembers {
		return fmt.Errorf("ports: %d members are more than %d", len(c.Members), maxMembers)
	}
	for _, name := range c.Underlay {
		if name == "" || len(name) > valid.MaxDevice {
			return fmt.Errorf("ports: %q cannot be a device's name", name)
		}
	}
	for _, m := range c.Members {
		if !m.Addr.Is4() {
			return fmt.Errorf("ports: %s of a member is no IPv4 address", m.Addr)
		}
	}
	return nil
}

// elements are the contents of the table's sets, as the kernel keeps them:
// unordered keys of a fixed length.
type elements map[string]map[string]bool

// Names of the sets.
const (
	setData     = "data"     // address . port, UDP
	setGossip   = "gossip"   // address . protocol . port
	setMembers  = "members"  // addresses of other hosts
	setUnderlay = "underlay" // device names
	setKinds    = "kinds"    // of devices that containers are attached to
)

// contents turns a configuration into the sets' keys.
func (c Config) contents() elements {
	e := elements{
		setData: {}, setGossip: {}, setMembers: {},
		setUnderlay: nft.NameKeys(c.Underlay), setKinds: nft.NameKeys(rtnl.ContainerKinds),
	}
	for _, m := range c.Members {
		if !m.Self {
			e[setMembers][nft.AddrKey(m.Addr)] = true
		}
		if m.Data != 0 {
			e[setData][nft.AddrKey(m.Addr)+nft.PortKey(m.Data)] = true
		}
		if m.Gossip != 0 {
			for _, proto := range []byte{packet.TCP, packet.UDP} {
				e[setGossip][nft.AddrKey(m.Addr)+string([]byte{proto, 0, 0, 0})+nft.PortKey(m.Gossip)] = true
			}
		}
	}
	return e
}
