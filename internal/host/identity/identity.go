// SPDX-License-Identifier: Apache-2.0

// Package identity keeps an nftables table with which containers keep their own
// addresses inside the overlay network.
//
// Docker, CNI's bridge plugin, netavark and others masquerade what leaves their
// bridge. Then another host would see this host's address. The table translates
// first, and to the same address:
//
//	postrouting  nat, priority 90: between the lease and the rest of the network
//	             the source is kept. Containers of this host's other bridges go
//	             into the overlay as LEASE.0. With --ip-masq, all other networks
//	             do, and what leaves the overlay is masqueraded.
//	prerouting   filter, priority -305, only where dockerd has the nftables
//	             backend: what comes from the overlay to the lease is marked
//
// The kernel binds a connection once. A binding that changes nothing is one, so
// that no later chain can change the source: neither one at srcnat (100), as
// iptables has, nor one beside it. An accept would not do: the next chain would
// masquerade. The rules name addresses, no devices, so that they hold for every
// path to a peer. Within the lease nothing is bound: a container that calls its
// own published port needs Docker's masquerading.
//
// A chain with a lower number than 90 goes first and can masquerade all the
// same; package ruleset finds such a one. At 90 the chain that was made later
// goes first. What has no connection (notrack) no program translates. An ICMP
// error follows the connection that it is about.
//
// The table is written by netlink in one transaction, and stays when the daemon
// stops. nf_tables had no word for a translation of prefixes before Linux 5.8;
// the table needs none, it gives each connection the source that it has. Only
// the first packet of a connection meets the nat chain.
package identity

import (
	"errors"
	"fmt"
	"net/netip"

	"flanneld/internal/host/nft"
	"flanneld/internal/valid"
)

// ErrPlatform is the error on other systems than Linux.
var ErrPlatform = errors.New("identity: flanneld runs on Linux only")

// Priority is that of the chain that translates: before NF_IP_PRI_NAT_SRC
// (100), where iptables and most other programs translate.
const Priority = 90

// Mark is the bit that is set in the mark of packets from the overlay to the
// lease, where dockerd uses nftables for its bridges. Such a dockerd lets them
// pass to its containers with
// --allow-direct-routing --bridge-accept-fwmark=0x10000000/0x10000000.
// Kubernetes has 0x2000, 0x4000 and 0x8000, Weave and Tailscale bits of
// 0x00ff0000, Cilium 0x0f00, and package pathrules 0x1000. Calico may have it;
// its hosts do not give the lease to Docker.
const Mark = 0x10000000

// DockerTable is the table of family ip that dockerd 29 and newer makes where
// its firewall-backend is nftables.
const DockerTable = "docker-bridges"

// tablePrefix begins the name of the table of every flanneld.
const tablePrefix = nft.TablePrefix + "identity-"

// TableName is the name of the device's table, of family ip.
func TableName(device string) string { return tablePrefix + device }

// Config is what the table is about.
type Config struct {
	Network    netip.Prefix // the overlay network, IPv4
	Lease      netip.Prefix // this node's part of the network
	Masquerade bool         // masquerade what leaves the overlay (--ip-masq)

	Device   string   // the overlay device
	Tunnels  []string // devices of kernel paths, as flannel.1; they need not exist
	Direct   string   // the underlay device where peers are reached by it directly; "": none
	Underlay string   // the underlay device
}

// Validate reports what is wrong with a configuration.
func (c Config) Validate() error {
	switch {
	case !c.Network.IsValid() || !c.Network.Addr().Is4() || c.Network != c.Network.Masked():
		return fmt.Errorf("identity: network %s is no IPv4 network", c.Network)
	case !c.Lease.IsValid() || c.Lease != c.Lease.Masked() || c.Lease.Bits() < c.Network.Bits() || !c.Network.Contains(c.Lease.Addr()):
		return fmt.Errorf("identity: lease %s is no subnet of the network %s", c.Lease, c.Network)
	case c.Direct != "" && !valid.Device(c.Direct):
		return fmt.Errorf("identity: rules cannot name the underlay device %q", c.Direct)
	}
	for _, name := range c.devices() {
		if !valid.Device(name) {
			return fmt.Errorf("identity: %q cannot be the overlay device's name", name)
		}
	}
	return nil
}

// devices are those that only overlay packets pass by.
func (c Config) devices() []string { return append([]string{c.Device}, c.Tunnels...) }
