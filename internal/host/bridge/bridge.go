// SPDX-License-Identifier: Apache-2.0

// Package bridge reads the bridges of this host, and judges how their addresses
// relate to the overlay network: containers are attached to them.
package bridge

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"flanneld/internal/host/envfile"
)

// Docker is the bridge of Docker's default network.
const Docker = "docker0"

// Bridge is what containers are attached to.
type Bridge struct {
	Name  string
	Addrs []netip.Prefix // its IPv4 addresses with their lengths
	Used  bool           // something is attached
}

// InUse reports whether containers use the lease: whether anything is attached
// to docker0 or to a bridge that carries the lease's first address.
func InUse(bridges []Bridge, lease netip.Prefix) bool {
	for _, b := range bridges {
		if b.Used && (b.Name == Docker || lease.IsValid() && b.Carries(envfile.FirstAddress(lease).Addr())) {
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

// OfLease names the first bridge with an address of the lease, "" for none and
// where the host cannot be read.
func OfLease(lease netip.Prefix) string {
	all, err := List()
	if err != nil {
		return ""
	}
	for _, b := range all {
		if b.In(lease) {
			return b.Name
		}
	}
	return ""
}

// Subnets returns the subnets of the network that the bridges have. A bridge
// with a prefix of exactly the length that subnets have, inside the network,
// was set up with a subnet.env. It is no foreign network in the way, even where
// that file and the device are gone.
func Subnets(bridges []Bridge, network netip.Prefix, subnetLen int) []netip.Prefix {
	var subnets []netip.Prefix
	for _, b := range bridges {
		for _, a := range b.Addrs {
			if a.Bits() == subnetLen && a.Bits() > network.Bits() && network.Contains(a.Addr()) {
				subnets = append(subnets, a.Masked())
			}
		}
	}
	return subnets
}

// Stray describes a bridge with a subnet of the network outside the lease of
// this node, "" when there is none. Its containers are cut off, and this host
// cannot reach the node that holds that subnet.
func Stray(bridges []Bridge, network netip.Prefix, lease netip.Prefix) string {
	for _, b := range bridges {
		for _, a := range b.Addrs {
			if a.Bits() > network.Bits() && network.Contains(a.Addr()) && !lease.Contains(a.Addr()) {
				return fmt.Sprintf("%s has %s, which is not in the lease %s: %s", b.Name, a, lease, b.MoveAway(network))
			}
		}
	}
	return ""
}

// MoveAway returns what to do about a bridge with addresses of another node.
func (b Bridge) MoveAway(network netip.Prefix) string {
	id, docker := strings.CutPrefix(b.Name, "br-")
	switch {
	case b.Name == Docker:
		return "restart dockerd with the new options (systemctl restart docker)"
	case docker:
		return fmt.Sprintf("it is a Docker network: docker network rm %s, and make it again with a --subnet outside %s", id, network)
	}
	return fmt.Sprintf("give it a subnet outside %s (ip address show dev %s; podman network ls)", network, b.Name)
}
