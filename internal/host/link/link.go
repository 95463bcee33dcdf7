// SPDX-License-Identifier: Apache-2.0

// Package link keeps the overlay device as the host's routing needs it: up,
// with LEASE.0/32, the MTU, and the route of the whole network to it.
//
// What to do is planned by a pure function from the device's state and the
// wanted configuration (plan.go); reading the state and doing the steps is
// netlink (rtnetlink(7)). The device itself is made by package tun.
package link

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"flanneld/internal/host/rtnl"
	"flanneld/internal/valid"
)

// Errors that callers distinguish.
var (
	// ErrNoDevice: the overlay device does not exist.
	ErrNoDevice = errors.New("no such device")
	// ErrForeign: a device of that name exists and is not flanneld's.
	ErrForeign = errors.New("device is not flanneld's")
	// ErrRouteTaken: another route to the very same network is there.
	ErrRouteTaken = errors.New("route taken")
	// ErrPlatform: not Linux.
	ErrPlatform = errors.New("link: flanneld runs on Linux only")
)

// AliasPrefix begins the alias of every device that flanneld made.
const AliasPrefix = rtnl.AliasPrefix

// Config is how the overlay device should be.
type Config struct {
	Name       string       // of the device, at most 15 bytes
	Alias      string       // begins with AliasPrefix; at most 255 bytes
	Addr       netip.Addr   // the device's only IPv4 address, as a /32: LEASE.0
	MTU        int          // bytes
	Network    netip.Prefix // routed to the device
	TxQueueLen int          // packets; 0: leave it
}

// Validate reports what is wrong with a configuration. The kernel would refuse
// it with less clear words.
func (c Config) Validate() error {
	switch {
	case !valid.Device(c.Name):
		return fmt.Errorf("link: %q cannot be the overlay device's name: up to 15 letters, digits, dots, dashes and underscores", c.Name)
	case !strings.HasPrefix(c.Alias, AliasPrefix) || len(c.Alias) > 255:
		return fmt.Errorf("link: alias %q of %s does not begin with %q or is longer than 255 bytes", c.Alias, c.Name, AliasPrefix)
	case !c.Addr.Is4():
		return fmt.Errorf("link: %s of %s is no IPv4 address", c.Addr, c.Name)
	case !c.Network.IsValid() || c.Network != c.Network.Masked() || !c.Network.Contains(c.Addr):
		return fmt.Errorf("link: network %s of %s does not contain its address %s, or has host bits", c.Network, c.Name, c.Addr)
	case c.MTU < 68: // RFC 791: every link takes 68 bytes
		return fmt.Errorf("link: MTU %d of %s is below 68, the least that IPv4 allows", c.MTU, c.Name)
	}
	return nil
}

// Owner is what a device belongs to.
type Owner int

// What a device can belong to.
const (
	Absent  Owner = iota // there is no such device
	Ours                 // a TUN that carries flanneld's alias
	Foreign              // anything else
)
