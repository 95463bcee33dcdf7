// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"flanneld/internal/valid"
)

// StaticPeer is a host that speaks flannel's udp format and no gossip: this
// node is told by hand which subnet it has and where its datagrams go.
type StaticPeer struct {
	Subnet   netip.Prefix
	Endpoint netip.AddrPort
}

// String is the form the flag takes.
func (p StaticPeer) String() string { return p.Subnet.String() + "=" + p.Endpoint.String() }

// ParseStaticPeer takes SUBNET=ADDR:PORT. Names are not resolved, so that a
// start does not wait for DNS.
func ParseStaticPeer(text string) (StaticPeer, error) {
	subnet, endpoint, ok := strings.Cut(text, "=")
	if !ok {
		return StaticPeer{}, errors.New("not SUBNET=ADDR:PORT; write it like 10.244.9.0/24=192.168.1.9:8285")
	}
	p, err := parsePrefix(subnet)
	if err != nil {
		return StaticPeer{}, fmt.Errorf("subnet %s: %w", subnet, err)
	}
	if p.Bits() < 8 || p.Bits() > maxSubnetLen {
		return StaticPeer{}, fmt.Errorf("subnet %s: its length is not from 8 to %d", subnet, maxSubnetLen)
	}
	e, err := netip.ParseAddrPort(endpoint)
	if err != nil || e.Port() == 0 {
		return StaticPeer{}, fmt.Errorf("endpoint %s: not ADDR:PORT; write it like 192.168.1.9:%d", endpoint, DefaultPort)
	}
	if !e.Addr().Is4() {
		return StaticPeer{}, fmt.Errorf("endpoint %s: not an IPv4 address", endpoint)
	}
	if !valid.Host(e.Addr()) {
		return StaticPeer{}, fmt.Errorf("endpoint %s: no host has such an address", endpoint)
	}
	if p.Contains(e.Addr()) {
		return StaticPeer{}, fmt.Errorf("endpoint %s lies inside its own subnet; give the host's underlay address", endpoint)
	}
	return StaticPeer{Subnet: p, Endpoint: e}, nil
}

// CheckStaticPeers holds the static peers against what is known of the
// network: network and lease may be zero, loopback says that the underlay is
// the loopback interface. The first one that does not fit is named.
func (c Config) CheckStaticPeers(network, lease netip.Prefix, loopback bool) error {
	for i, p := range c.StaticPeers {
		if reason := p.misfit(network, lease, loopback); reason != "" {
			return c.staticFault(p, reason)
		}
		for _, q := range c.StaticPeers[:i] {
			if p.Subnet.Overlaps(q.Subnet) {
				return c.staticFault(p, "overlaps static peer "+q.String()+"; every subnet has one host")
			}
		}
	}
	return nil
}

func (p StaticPeer) misfit(network, lease netip.Prefix, loopback bool) string {
	switch {
	case network.IsValid() && (p.Subnet.Bits() <= network.Bits() || !network.Contains(p.Subnet.Addr())):
		return fmt.Sprintf("subnet is no part of the network %s", network)
	case network.IsValid() && network.Contains(p.Endpoint.Addr()):
		return fmt.Sprintf("endpoint lies inside the network %s; give the host's underlay address", network)
	case p.Endpoint.Addr().IsLoopback() && !loopback:
		return "endpoint is a loopback address; give the host's underlay address"
	case lease.IsValid() && p.Subnet.Overlaps(lease):
		return fmt.Sprintf("overlaps this node's own lease %s; keep it out of --subnet-min to --subnet-max, or hold another with --subnet", lease)
	}
	return ""
}

// WithoutSelf returns the configuration without the static peers that name this
// host, and those: they let all hosts be given one list. own reports whether an
// endpoint is this host's. One that has the subnet of --subnet and is no entry
// of this host is an *Error.
func (c Config) WithoutSelf(own func(netip.AddrPort) bool) (Config, []StaticPeer, error) {
	var others, self []StaticPeer
	for _, p := range c.StaticPeers {
		if own(p.Endpoint) {
			self = append(self, p)
			continue
		}
		if err := c.checkAgainstPin(p); err != nil {
			return c, nil, err
		}
		others = append(others, p)
	}
	c.StaticPeers = others
	return c, self, nil
}

// checkAgainstPin refuses a static peer that has addresses of the pin.
func (c Config) checkAgainstPin(p StaticPeer) error {
	if !c.Subnet.IsValid() || !p.Subnet.Overlaps(c.Subnet) {
		return nil
	}
	return c.staticFault(p, "is the subnet this node is to hold (--subnet "+c.Subnet.String()+"); every subnet has one host")
}

// staticFault names the one peer and not the whole list it was given in.
func (c Config) staticFault(p StaticPeer, reason string) error {
	source := "--static-peer"
	if from, ok := c.origin["static-peer"]; ok {
		source = from.source
	}
	return &Error{Source: source, Value: p.String(), Reason: reason}
}
