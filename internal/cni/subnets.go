// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/containernetworking/cni/pkg/types"

	"flanneld/internal/host/envfile"
)

// subnets is what subnet.env says. flannel may write several networks into one
// variable, or only IPv6, so this is wider than envfile.Subnet.
type subnets struct {
	networks []netip.Prefix // IPv4 first
	own      []netip.Prefix // of this host, one of a family, IPv4 first
	mtu      uint32
	ipMasq   bool // flanneld masquerades
}

// readSubnets reads subnet.env. An error has the specification's code: 11, try
// again later, while the file is not there.
func readSubnets(path string) (*subnets, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fail(types.ErrTryAgainLater, "%s is not there: flanneld writes it once this host has a lease; see `flanneld status`", path)
	}
	if err != nil {
		return nil, fail(types.ErrIOFailure, "cannot read the lease: %v", err)
	}
	s, err := parseSubnets(content)
	if err != nil {
		return nil, fail(types.ErrDecodingFailure, "%s: %s; restart flanneld, which writes it anew",
			path, strings.TrimPrefix(err.Error(), "envfile: "))
	}
	return s, nil
}

func parseSubnets(content []byte) (*subnets, error) {
	vars, err := envfile.Variables(content)
	if err != nil {
		return nil, err
	}
	s := &subnets{}
	for _, family := range []struct {
		name string
		ipv4 bool
	}{{"FLANNEL_", true}, {"FLANNEL_IPV6_", false}} {
		networks, err := prefixes(vars, family.name+"NETWORK", family.ipv4)
		if err != nil {
			return nil, err
		}
		own, err := prefixes(vars, family.name+"SUBNET", family.ipv4)
		if err != nil {
			return nil, err
		}
		if len(own) > 1 {
			return nil, errors.New(family.name + "SUBNET has more than one subnet")
		}
		if err := inside(family.name, own, networks); err != nil {
			return nil, err
		}
		s.networks = append(s.networks, networks...)
		s.own = append(s.own, own...)
	}
	if len(s.own) == 0 {
		return nil, errors.New("FLANNEL_NETWORK and FLANNEL_SUBNET are missing")
	}
	mtu, err := strconv.ParseUint(vars["FLANNEL_MTU"], 10, 32)
	if err != nil {
		return nil, errors.New("FLANNEL_MTU=" + strconv.Quote(vars["FLANNEL_MTU"]) + " is no MTU")
	}
	s.mtu = uint32(mtu)
	value, ok := vars["FLANNEL_IPMASQ"]
	if !ok {
		return nil, errors.New("FLANNEL_IPMASQ is missing")
	}
	s.ipMasq = value == "true"
	return s, nil
}

// prefixes reads a variable that holds subnets with commas between them. None
// is no error. Host bits are cut off.
func prefixes(vars map[string]string, name string, ipv4 bool) (all []netip.Prefix, err error) {
	value, ok := vars[name]
	if !ok {
		return nil, nil
	}
	for text := range strings.SplitSeq(value, ",") {
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Addr().Is4() != ipv4 {
			return nil, errors.New(name + "=" + strconv.Quote(value) + " is no subnet of its family")
		}
		if p = p.Masked(); !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all, nil
}

// inside checks that a host's subnet belongs to the network that the same file
// names. A file of which half is another network's would isolate containers.
func inside(family string, own, networks []netip.Prefix) error {
	if len(own) == 0 {
		if len(networks) > 0 {
			return errors.New(family + "SUBNET is missing")
		}
		return nil
	}
	if len(networks) == 0 {
		return errors.New(family + "NETWORK is missing")
	}
	for _, network := range networks {
		if network.Bits() <= own[0].Bits() && network.Contains(own[0].Addr()) {
			return nil
		}
	}
	return errors.New(family + "SUBNET=" + own[0].String() + " is not in " + family + "NETWORK=" + networks[0].String())
}

func ipNet(p netip.Prefix) net.IPNet {
	return net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
