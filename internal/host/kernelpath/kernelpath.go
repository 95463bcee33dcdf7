// SPDX-License-Identifier: Apache-2.0

// Package kernelpath keeps what the kernel needs to carry packets to a peer
// itself: tunnel devices, and for each peer a neighbor, a forwarding database
// entry and a route.
//
//	direct  SUBNET via ENDPOINT dev UNDERLAY onlink
//	vxlan   SUBNET via LEASE.0 dev flannel.1 onlink
//	        neighbor LEASE.0 -> MAC, and FDB entry MAC -> endpoint
//	ipip    SUBNET via ENDPOINT dev flannel.ipip onlink
//
// The route of the whole network to the overlay device stays for ever. A route
// to a peer is only longer, so the kernel's longest prefix match is the switch:
// one route more or less moves a peer's packets, and none is lost. Routes have
// a protocol number of their own (Protocol), and devices an alias. Whatever has
// either and is no longer wanted is removed.
//
// What to do is planned by pure functions from the kernel's state and the
// wanted state (plan.go). Reading the state and doing the steps is netlink.
// After a change of peers only the differences are done; Ensure compares with
// the kernel itself.
package kernelpath

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"flanneld/internal/host/link"
	"flanneld/internal/host/rtnl"
	"flanneld/internal/valid"
)

// Protocol is the protocol number of the routes.
const Protocol = rtnl.Protocol

// Names of the paths.
const (
	Direct = "direct"
	Vxlan  = "vxlan"
	Ipip   = "ipip"
)

// ErrPlatform is returned where the host is not Linux.
var ErrPlatform = errors.New("kernelpath: flanneld runs on Linux only")

// Config is what this host's end of the kernel paths looks like.
type Config struct {
	Network  netip.Prefix // of the overlay
	Lease    netip.Prefix // of this node; its first address is on the tunnel devices
	Underlay string       // the device that leads to other hosts
	Local    netip.Addr   // this host's address on Underlay
	MTU      int          // of the overlay, in bytes
	Alias    string       // begins with link.AliasPrefix; the devices add the overlay device's name
	VXLAN    *VXLAN       // nil: no such device
	IPIP     *IPIP        // nil: no such device
}

// VXLAN is the device of the path "vxlan".
type VXLAN struct {
	Name string           // at most 15 bytes
	VNI  uint32           // 1 to 16777215
	Port uint16           // UDP
	MAC  net.HardwareAddr // of the device
}

// IPIP is the device of the path "ipip".
type IPIP struct {
	Name string // at most 15 bytes
}

// Peer is another node's end.
type Peer struct {
	Prefix   netip.Prefix // its lease
	Endpoint netip.Addr   // its address on the underlay
	MTU      int          // of its overlay; 0: not known

	// VXLAN: the peer takes VXLAN. Its neighbor and FDB entry are kept, route
	// or not, so that it can be probed.
	VXLAN bool
	MAC   net.HardwareAddr // of its VXLAN device
	Port  uint16           // of its VXLAN device; 0: as ours

	Path string // that the route takes: Direct, Vxlan, Ipip; "": no route
}

const (
	maxVNI   = 1<<24 - 1
	maxAlias = 255
	minMTU   = 68 // RFC 791: every link takes 68 bytes
)

// Validate reports what is wrong with a configuration.
func (c Config) Validate() error {
	switch {
	case !c.Network.IsValid() || !c.Network.Addr().Is4() || c.Network != c.Network.Masked():
		return fmt.Errorf("kernelpath: %s is no IPv4 network", c.Network)
	case !inside(c.Network, c.Lease):
		return fmt.Errorf("kernelpath: lease %s is not in network %s", c.Lease, c.Network)
	case c.Underlay != "" && (!c.Local.Is4() || c.Network.Contains(c.Local)):
		return fmt.Errorf("kernelpath: %s of %s cannot be the underlay address", c.Local, c.Underlay)
	case c.MTU < minMTU || c.MTU > 65535:
		return fmt.Errorf("kernelpath: MTU %d is not within %d and 65535", c.MTU, minMTU)
	case !strings.HasPrefix(c.Alias, link.AliasPrefix) || len(c.Alias) > maxAlias-16:
		return fmt.Errorf("kernelpath: alias %q does not begin with %q or is too long", c.Alias, link.AliasPrefix)
	}
	return errors.Join(c.VXLAN.validate(), c.IPIP.validate())
}

func (v *VXLAN) validate() error {
	switch {
	case v == nil:
		return nil
	case !valid.Device(v.Name):
		return fmt.Errorf("kernelpath: %q cannot be a device's name", v.Name)
	case v.VNI == 0 || v.VNI > maxVNI:
		return fmt.Errorf("kernelpath: VNI %d of %s is not within 1 and %d", v.VNI, v.Name, maxVNI)
	case v.Port == 0:
		return fmt.Errorf("kernelpath: %s has no UDP port", v.Name)
	case !usable(v.MAC):
		return fmt.Errorf("kernelpath: %q of %s is no MAC address of a device", v.MAC, v.Name)
	}
	return nil
}

func (i *IPIP) validate() error {
	if i != nil && !valid.Device(i.Name) {
		return fmt.Errorf("kernelpath: %q cannot be a device's name", i.Name)
	}
	return nil
}

// inside reports whether a prefix is a part of the network, and not all.
func inside(network, p netip.Prefix) bool {
	return p.IsValid() && p == p.Masked() && p.Bits() > network.Bits() && network.Contains(p.Addr())
}

// usable reports whether a device can have a MAC address: six bytes, unicast,
// not zero.
func usable(mac net.HardwareAddr) bool {
	return len(mac) == 6 && mac[0]&1 == 0 && !bytes.Equal(mac, make([]byte, 6))
}

// clone copies a configuration, so that its owner may change it.
func (c *Config) clone() *Config {
	if c == nil {
		return nil
	}
	own := *c
	if c.VXLAN != nil {
		v := *c.VXLAN
		v.MAC = bytes.Clone(v.MAC)
		own.VXLAN = &v
	}
	if c.IPIP != nil {
		i := *c.IPIP
		own.IPIP = &i
	}
	return &own
}
