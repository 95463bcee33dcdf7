// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"flanneld/internal/valid"
)

// StaticPeer is a host that runs flannel and no gossip: this node is told by
// hand which subnet it has and where its packets go.
type StaticPeer struct {
	Subnet netip.Prefix
	Path   Path // "": PathUDP
	// Endpoint is where the host takes datagrams or VXLAN. Its port is 0 for a
	// path without ports.
	Endpoint netip.AddrPort
	MAC      MAC // of the host's VXLAN device; nil for any other path
}

// Way is the path to the peer.
func (p StaticPeer) Way() Path { return cmp.Or(p.Path, PathUDP) }

// String is the form the flag takes.
func (p StaticPeer) String() string {
	text := p.Subnet.String() + "="
	if p.Way().Kernel() {
		text += p.Path.Backend() + ":"
	}
	if p.Endpoint.Port() == 0 {
		text += p.Endpoint.Addr().String()
	} else {
		text += p.Endpoint.String()
	}
	if p.MAC != nil {
		text += "/" + p.MAC.String()
	}
	return text
}

// staticForms are the forms of a static peer, for errors.
const staticForms = "SUBNET=ADDR:PORT, SUBNET=host-gw:ADDR, SUBNET=ipip:ADDR or SUBNET=vxlan:ADDR[:PORT]/MAC"

// ParseStaticPeer takes SUBNET=ADDR:PORT or, for kernel paths,
// SUBNET=host-gw:ADDR, SUBNET=ipip:ADDR and SUBNET=vxlan:ADDR[:PORT]/MAC. The
// port of VXLAN is 0 where the text has none. Names are not resolved, so that a
// start does not wait for DNS.
func ParseStaticPeer(text string) (StaticPeer, error) {
	subnet, rest, ok := strings.Cut(text, "=")
	if !ok {
		return StaticPeer{}, errors.New("not SUBNET=ADDR:PORT; write it like 10.244.9.0/24=192.168.1.9:8285")
	}
	p := StaticPeer{Path: PathUDP}
	var err error
	if p.Subnet, err = parsePrefix(subnet); err != nil {
		return StaticPeer{}, fmt.Errorf("subnet %s: %w", subnet, err)
	}
	if p.Subnet.Bits() < 8 || p.Subnet.Bits() > maxSubnetLen {
		return StaticPeer{}, fmt.Errorf("subnet %s: its length is not from 8 to %d", subnet, maxSubnetLen)
	}
	if err := p.parseEndpoint(rest); err != nil {
		return StaticPeer{}, err
	}
	switch a := p.Endpoint.Addr(); {
	case !a.Is4():
		return StaticPeer{}, fmt.Errorf("endpoint %s: not an IPv4 address", a)
	case !valid.Host(a):
		return StaticPeer{}, fmt.Errorf("endpoint %s: no host has such an address", a)
	case p.Subnet.Contains(a):
		return StaticPeer{}, fmt.Errorf("endpoint %s lies inside its own subnet; give the host's underlay address", a)
	}
	return p, nil
}

// parseEndpoint reads what stands behind the subnet.
func (p *StaticPeer) parseEndpoint(text string) error {
	name, rest, _ := strings.Cut(text, ":")
	switch name {
	case PathVXLAN.Backend():
		p.Path = PathVXLAN
		return p.parseVXLAN(rest)
	case PathDirect.Backend(), PathIPIP.Backend():
		p.Path, _ = parsePath(name)
		a, err := netip.ParseAddr(rest)
		if err != nil {
			return fmt.Errorf("endpoint %s: not an address; write it like %s:192.168.1.9", text, name)
		}
		p.Endpoint = netip.AddrPortFrom(a, 0)
		return nil
	case PathUDP.Backend():
		return fmt.Errorf("endpoint %s: udp has no name there; write it like 192.168.1.9:%d", text, DefaultPort)
	}
	e, err := netip.ParseAddrPort(text)
	if err != nil || e.Port() == 0 {
		return fmt.Errorf("endpoint %s: not ADDR:PORT; write it like 192.168.1.9:%d, or one of %s", text, DefaultPort, staticForms)
	}
	p.Endpoint = e
	return nil
}

// parseVXLAN reads ADDR[:PORT]/MAC.
func (p *StaticPeer) parseVXLAN(text string) error {
	const example = "write it like vxlan:192.168.1.9/0e:5d:7b:a1:02:33 (cat /sys/class/net/flannel.1/address on that host)"
	at, mac, _ := strings.Cut(text, "/")
	a, err := netip.ParseAddr(at)
	p.Endpoint = netip.AddrPortFrom(a, 0)
	if err != nil {
		p.Endpoint, err = netip.ParseAddrPort(at)
		if err == nil && p.Endpoint.Port() == 0 {
			err = errors.New("port 0")
		}
	}
	if err != nil {
		return fmt.Errorf("endpoint vxlan:%s: not ADDR[:PORT]/MAC; %s", text, example)
	}
	p.MAC, err = net.ParseMAC(mac)
	if err != nil || len(p.MAC) != macLen {
		return fmt.Errorf("endpoint vxlan:%s: not a MAC of six bytes behind the /; %s", text, example)
	}
	if p.MAC[0]&multicastMAC != 0 || !slices.ContainsFunc(p.MAC, func(b byte) bool { return b != 0 }) {
		return fmt.Errorf("endpoint vxlan:%s: no device has such a MAC; %s", text, example)
	}
	return nil
}

const (
	macLen       = 6    // bytes
	multicastMAC = 0x01 // in the first byte (IEEE 802)
)

// CheckStaticPeers holds the static peers against what is known of the
// network: network and lease may be zero, loopback says that the underlay is
// the loopback interface. The first one that does not fit is named.
func (c Config) CheckStaticPeers(network, lease netip.Prefix, loopback bool) error {
	for i, p := range c.StaticPeers {
		if p.Way().Kernel() && !c.Uses(p.Path) {
			return c.staticFault(p, fmt.Sprintf("is reached by a path that --backend %s does not have; give --backend %s", c.Backend, append(slices.Clone(c.Backend), p.Path)))
		}
		if reason := p.misfit(network, lease, loopback); reason != "" {
			return c.staticFault(p, reason)
		}
		for _, q := range c.StaticPeers[:i] {
			if p.Subnet.Overlaps(q.Subnet) {
				return c.staticFault(p, "overlaps static peer "+q.String()+"; every subnet has one host")
			}
			if p.MAC != nil && bytes.Equal(p.MAC, q.MAC) {
				return c.staticFault(p, "has the MAC of static peer "+q.String()+"; every device has its own")
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
