// SPDX-License-Identifier: Apache-2.0

// Package bridge reads the bridges of this host, and judges how their addresses
// relate to the overlay network: containers are attached to them.
package bridge

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Docker is the bridge of Docker's default network.
const Docker = "docker0"

// Bridge is what containers are attached to.
type Bridge struct {
	Name  string
	Addrs []netip.Prefix // its IPv4 addresses with their lengths
	Ports []string       // the devices that are attached
}

// Used reports whether something is attached.
func (b Bridge) Used() bool { return len(b.Ports) > 0 }

// InUse reports whether containers use the lease: whether anything is attached
// to docker0 or to a bridge with an address of the lease. Several bridges may
// share a lease.
func InUse(bridges []Bridge, lease netip.Prefix) bool {
	for _, b := range bridges {
		if b.Used() && (b.Name == Docker || lease.IsValid() && b.In(lease)) {
			return true
		}
	}
	return false
}

// Carries reports whether the bridge has the address.
func (b Bridge) Carries(a netip.Addr) bool {
	return slices.ContainsFunc(b.Addrs, func(own netip.Prefix) bool { return own.Addr() == a })
}

// In reports whether the bridge has an address of the prefix.
func (b Bridge) In(p netip.Prefix) bool {
	return slices.ContainsFunc(b.Addrs, func(own netip.Prefix) bool { return p.Contains(own.Addr()) })
}

// OfLease names the bridges with an address of the lease, in the order of the
// list. A lease may be divided among several.
func OfLease(bridges []Bridge, lease netip.Prefix) (names []string) {
	for _, b := range bridges {
		if b.In(lease) {
			names = append(names, b.Name)
		}
	}
	return names
}

// Subnets returns the subnets of the network that the bridges have, each once.
// A bridge with a prefix inside the network, as long as subnets are or longer,
// was set up with a subnet.env or with a part of a lease. It is no foreign
// network in the way, even where that file and the device are gone.
func Subnets(bridges []Bridge, network netip.Prefix, subnetLen int) []netip.Prefix {
	var subnets []netip.Prefix
	for _, b := range bridges {
		for _, a := range b.Addrs {
			if a.Bits() < subnetLen || subnetLen <= network.Bits() || !network.Contains(a.Addr()) {
				continue
			}
			if s := netip.PrefixFrom(a.Addr(), subnetLen).Masked(); !slices.Contains(subnets, s) {
				subnets = append(subnets, s)
			}
		}
	}
	return subnets
}

// Stray is a bridge with a subnet of the network outside the lease of this
// node. Its containers are cut off, and this host cannot reach the node that
// holds that subnet.
type Stray struct {
	Bridge
	Addr netip.Prefix // the address that is not in the lease
}

// Strays lists the stray bridges, each with its first such address.
func Strays(bridges []Bridge, network, lease netip.Prefix) (strays []Stray) {
	for _, b := range bridges {
		i := slices.IndexFunc(b.Addrs, func(a netip.Prefix) bool {
			return a.Bits() > network.Bits() && network.Contains(a.Addr()) && !lease.Contains(a.Addr())
		})
		if i >= 0 {
			strays = append(strays, Stray{b, b.Addrs[i]})
		}
	}
	return strays
}

// describe says what is wrong with a stray bridge.
func (s Stray) describe(lease netip.Prefix) string {
	return fmt.Sprintf("%s has %s, which is not in the lease %s", s.Name, s.Addr, lease)
}

// MoveAway returns what to do about a bridge with addresses of another node.
func (b Bridge) MoveAway(network netip.Prefix) string {
	id, docker := strings.CutPrefix(b.Name, "br-")
	switch {
	case b.Name == Docker:
		return "restart dockerd with the new options (systemctl restart docker)"
	case docker:
		return fmt.Sprintf("it is a Docker network: docker network rm %s, and make it again with a --subnet outside %s, or in the lease (flanneld docker network create)", id, network)
	}
	return fmt.Sprintf("give it a subnet outside %s (ip address show dev %s; podman network ls)", network, b.Name)
}
