// SPDX-License-Identifier: Apache-2.0

// Package engine makes and keeps Docker networks over the lease of this host,
// by Docker's Engine API.
//
// Such a network is a bridge. Its subnet is the lease or a part, so that its
// containers are reached from all hosts by their own addresses. What should be
// there and how it differs from what is there is decided without I/O.
package engine

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"flanneld/internal/host/docker"
	"flanneld/internal/host/envfile"
)

// labelPart marks a network as made here, and holds its part of the lease.
const labelPart = "flanneld.part"

// driverBridge is the only driver that has a bridge on this host.
const driverBridge = "bridge"

// maxBridge is the longest name of a device, in bytes (IFNAMSIZ).
const maxBridge = 15

// Network is a Docker network, as far as it concerns the overlay.
type Network struct {
	ID         string // "" for one that is to be made
	Name       string
	Driver     string
	Subnet     netip.Prefix // the IPv4 one; zero where it has none
	Gateway    netip.Addr   // in Subnet; zero where Docker chooses it
	Attachable bool
	Options    map[string]string
	Labels     map[string]string
}

// Ours reports whether the network was made here.
func (n Network) Ours() bool { return n.Labels[labelPart] != "" }

// Bridge returns the name of the network's bridge. A network without a name for
// its bridge has one that Docker made of the network's ID.
func (n Network) Bridge() string {
	if b := n.Options[docker.OptionBridge]; b != "" || n.Driver != driverBridge || len(n.ID) < 12 {
		return b
	}
	return "br-" + n.ID[:12]
}

// MTU is the network's MTU in bytes; 0 where it has Docker's default.
func (n Network) MTU() int {
	mtu, _ := strconv.Atoi(n.Options[docker.OptionMTU])
	return mtu
}

// Wish is how a network over the lease should be.
type Wish struct {
	Name       string
	Bridge     string // "" for br-NAME
	Lease      netip.Prefix
	Part       *docker.Part // nil: as it is, or the largest that is free
	MTU        int          // bytes, of the overlay device
	Masquerade bool         // by Docker, of what leaves the overlay network
	// DockerBIP is what docker0 gets at the next start of dockerd; zero for
	// nothing of the lease.
	DockerBIP netip.Prefix
}

// network turns the wish into a network, for an engine with these networks.
func (w Wish) network(api docker.API, all []Network) (Network, error) {
	have, _ := find(all, w.Name)
	part, err := w.part(have, all)
	if err != nil {
		return Network{}, err
	}
	subnet, err := part.Of(w.Lease)
	if err != nil {
		return Network{}, fmt.Errorf("network %s: %w", w.Name, err)
	}
	if err := w.vacant(subnet, all); err != nil {
		return Network{}, err
	}
	options := docker.NetworkOptions(w.MTU, w.Masquerade, api)
	if options[docker.OptionBridge] = w.Bridge; w.Bridge == "" {
		options[docker.OptionBridge] = w.bridge(have)
	}
	if b := options[docker.OptionBridge]; len(b) > maxBridge {
		return Network{}, fmt.Errorf("network %s: %s is longer than the %d letters that a device's name can have: name its bridge with --bridge", w.Name, b, maxBridge)
	}
	return Network{
		Name: w.Name, Driver: driverBridge, Subnet: subnet, Gateway: envfile.FirstAddress(subnet).Addr(), Attachable: true,
		Options: options, Labels: map[string]string{labelPart: part.String()},
	}, nil
}

// bridge is the name that the network's bridge has already, or a new one.
func (w Wish) bridge(have Network) string {
	if b := have.Options[docker.OptionBridge]; have.Ours() && b != "" {
		return b
	}
	return "br-" + w.Name
}

// part is the part of the lease that was asked for, the one that the network
// has already, or the largest free one.
func (w Wish) part(have Network, all []Network) (docker.Part, error) {
	if w.Part != nil {
		return *w.Part, nil
	}
	if p, err := docker.ParsePart(have.Labels[labelPart]); err == nil {
		return p, nil
	}
	used := []netip.Prefix{}
	if w.DockerBIP.IsValid() {
		used = append(used, w.DockerBIP)
	}
	for _, n := range all {
		if n.Name != w.Name && n.Subnet.IsValid() {
			used = append(used, n.Subnet)
		}
	}
	free, ok := docker.Largest(docker.Rest(w.Lease, used))
	if !ok {
		return docker.Part{}, fmt.Errorf("network %s: nothing is left of the lease %s: %s", w.Name, w.Lease, w.occupied(all))
	}
	part, _ := docker.PartOf(w.Lease, free)
	return part, nil
}

// occupied says what has the lease, and how to make room.
func (w Wish) occupied(all []Network) string {
	for _, n := range all {
		if n.Name != w.Name && n.Subnet.IsValid() && n.Subnet.Overlaps(w.Lease) && n.Name != defaultNetwork {
			return fmt.Sprintf("Docker network %s has %s; remove it (docker network rm %[1]s)", n.Name, n.Subnet)
		}
	}
	return giveRoom
}

// giveRoom is how docker0 leaves room for other networks.
const giveRoom = "docker0 has it; start flanneld with --docker-part 1/2, and restart dockerd with the new options"

// defaultNetwork is the name of docker0's network.
const defaultNetwork = "bridge"

// vacant returns an error that names the network which has addresses of the
// subnet.
func (w Wish) vacant(subnet netip.Prefix, all []Network) error {
	for _, n := range all {
		switch {
		case n.Name == w.Name || !n.Subnet.IsValid() || !n.Subnet.Overlaps(subnet):
		case n.Name == defaultNetwork:
			return fmt.Errorf("network %s: docker0 has %s, which overlaps %s: start flanneld with another --docker-part, and restart dockerd with the new options",
				w.Name, n.Subnet, subnet)
		default:
			return fmt.Errorf("network %s: Docker network %s has %s, which overlaps %s: choose another --part, or remove it (docker network rm %[2]s)",
				w.Name, n.Name, n.Subnet, subnet)
		}
	}
	if w.DockerBIP.IsValid() && w.DockerBIP.Overlaps(subnet) {
		return fmt.Errorf("network %s: docker0 gets %s at the next start of dockerd, which overlaps %s: start flanneld with another --docker-part", w.Name, w.DockerBIP, subnet)
	}
	return nil
}

// find returns the network of that name.
func find(all []Network, name string) (Network, bool) {
	i := slices.IndexFunc(all, func(n Network) bool { return n.Name == name })
	if i < 0 {
		return Network{}, false
	}
	return all[i], true
}

// differences says how a network differs from what it should be, one phrase
// each. Options and labels that are not asked for do not count, except a
// gateway mode.
func differences(have, want Network) (all []string) {
	differ := func(what, have, want string) {
		if have != want {
			all = append(all, fmt.Sprintf("%s is %s, not %s", what, orNone(have), orNone(want)))
		}
	}
	differ("driver", have.Driver, want.Driver)
	differ("subnet", text(have.Subnet), text(want.Subnet))
	if have.Gateway.IsValid() && have.Subnet == want.Subnet {
		differ("gateway", have.Gateway.String(), want.Gateway.String())
	}
	differ("attachable", strconv.FormatBool(have.Attachable), strconv.FormatBool(want.Attachable))
	keys := slices.Sorted(maps.Keys(want.Options))
	if !slices.Contains(keys, docker.OptionGatewayMode) {
		keys = append(keys, docker.OptionGatewayMode)
	}
	for _, key := range keys {
		differ(strings.TrimPrefix(key, "com.docker.network."), have.Options[key], want.Options[key])
	}
	differ("part", have.Labels[labelPart], want.Labels[labelPart])
	return all
}

func orNone(text string) string {
	if text == "" {
		return "not set"
	}
	return text
}

// text is a prefix for people, "" for the zero one.
func text(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}
