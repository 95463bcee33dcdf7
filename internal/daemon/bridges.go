package daemon

import (
	"fmt"
	"net/netip"
	"strings"

	"flanneld/internal/host/envfile"
)

// dockerBridge is the bridge of Docker's default network.
const dockerBridge = "docker0"

// bridge is what containers are attached to.
type bridge struct {
	name  string
	addrs []netip.Prefix // its IPv4 addresses with their lengths
	used  bool           // something is attached
}

// inUse says whether containers use the lease: whether anything is attached to
// docker0 or to a bridge that carries the lease's first address.
func inUse(bridges []bridge, lease netip.Prefix) bool {
	for _, b := range bridges {
		if b.used && (b.name == dockerBridge || lease.IsValid() && b.carries(envfile.FirstAddress(lease).Addr())) {
			return true
		}
	}
	return false
}

func (b bridge) carries(a netip.Addr) bool {
	for _, own := range b.addrs {
		if own.Addr() == a {
			return true
		}
	}
	return false
}

// subnetsOf returns the subnets of the network that bridges of this host have:
// a bridge with a prefix of exactly the length that subnets have, inside the
// network, was set up with a subnet.env. It is no foreign network in the way,
// also where that file and the device are gone.
func subnetsOf(bridges []bridge, network netip.Prefix, subnetLen int) []netip.Prefix {
	var subnets []netip.Prefix
	for _, b := range bridges {
		for _, a := range b.addrs {
			if a.Bits() == subnetLen && a.Bits() > network.Bits() && network.Contains(a.Addr()) {
				subnets = append(subnets, a.Masked())
			}
		}
	}
	return subnets
}

// strayBridge tells of a bridge that has a subnet of the network which is not
// this node's lease, "" when there is none: its containers are cut off, and
// the node that has that subnet is not reached from here.
func strayBridge(bridges []bridge, network netip.Prefix, lease netip.Prefix) string {
	for _, b := range bridges {
		for _, a := range b.addrs {
			if a.Bits() > network.Bits() && network.Contains(a.Addr()) && !lease.Contains(a.Addr()) {
				return fmt.Sprintf("%s has %s, which is not in the lease %s: %s", b.name, a, lease, b.moveAway(network))
			}
		}
	}
	return ""
}

// moveAway says what to do about a bridge that has addresses of another node.
func (b bridge) moveAway(network netip.Prefix) string {
	id, docker := strings.CutPrefix(b.name, "br-")
	switch {
	case b.name == dockerBridge:
		return "restart dockerd with the new options (systemctl restart docker)"
	case docker:
		return fmt.Sprintf("it is a Docker network: docker network rm %s, and make it again with a --subnet outside %s", id, network)
	}
	return fmt.Sprintf("give it a subnet outside %s (ip address show dev %s; podman network ls)", network, b.name)
}
