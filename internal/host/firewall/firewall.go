// SPDX-License-Identifier: Apache-2.0

// Package firewall keeps the iptables rules that let overlay traffic past
// Docker's own.
//
// Docker drops what it did not expect: FORWARD's policy is DROP, and since
// Docker 28 every container has a rule in raw PREROUTING that drops packets to
// it from anywhere but its bridge. One chain a table, named after the device,
// holds the exceptions, and a jump leads to it:
//
//	raw    PREROUTING              what comes in by the device, to the lease
//	filter DOCKER-USER or FORWARD  what the device and the lease exchange
//	nat    POSTROUTING             overlay traffic keeps its source address
//
// The last one is there only where the kernel has no nf_tables. Elsewhere
// package identity does it, with --ip-masq as well.
//
// The devices of kernel paths have the same rules. So has the underlay device
// where peers are reached by it directly: but there only packets with the mark
// of package pathrules are let in.
//
// In PREROUTING, POSTROUTING and FORWARD the jump is kept before all other
// rules. DOCKER-USER is the operator's: there the jump is kept after all rules
// that can take effect. Docker leaves that chain alone when it restarts, so it
// is used where FORWARD begins with it. Where FORWARD reaches it later, the
// jump is in FORWARD, and flanneld's chain sends overlay traffic through
// DOCKER-USER before it accepts it. So the operator's rules always decide
// first. Every rule names the device, except for masquerading, so several
// overlays on one host do not disturb one another, and a chain left behind by a
// device that is gone matches nothing of another's.
package firewall

import (
	"errors"
	"fmt"
	"net/netip"

	"flanneld/internal/valid"
)

// Errors that callers distinguish.
var (
	// ErrNoIPTables: no iptables command on this host, so nothing that it
	// could have set up stands in the way either. Worth one line in the log.
	ErrNoIPTables = errors.New("firewall: no iptables command found: rules are left to you")
	// ErrHangs: an iptables command did not end in time and was killed.
	ErrHangs = errors.New("iptables hangs")
	// ErrPlatform: not Linux.
	ErrPlatform = errors.New("firewall: flanneld runs on Linux only")
)

// Config is what the rules are about.
type Config struct {
	Network    netip.Prefix // the overlay network, IPv4
	Lease      netip.Prefix // this node's part of the network
	Device     string       // the overlay device
	Masquerade bool         // masquerade what leaves the overlay (--ip-masq)

	Tunnels  []string // devices of kernel paths, as flannel.1; they need not exist
	Direct   string   // the underlay device where peers are reached by it directly; "": none
	Underlay string   // the underlay device
}

// Validate reports what is wrong with a configuration.
func (c Config) Validate() error {
	switch {
	case !c.Network.IsValid() || !c.Network.Addr().Is4() || c.Network != c.Network.Masked():
		return fmt.Errorf("firewall: network %s is no IPv4 network", c.Network)
	case !c.Lease.IsValid() || c.Lease != c.Lease.Masked() || c.Lease.Bits() < c.Network.Bits() || !c.Network.Contains(c.Lease.Addr()):
		return fmt.Errorf("firewall: lease %s is no subnet of the network %s", c.Lease, c.Network)
	}
	for _, name := range c.Tunnels {
		if err := validDevice(name); err != nil {
			return err
		}
	}
	if c.Direct != "" && !valid.Device(c.Direct) {
		return fmt.Errorf("firewall: rules cannot name the underlay device %q", c.Direct)
	}
	return validDevice(c.Device)
}

func validDevice(name string) error {
	if !valid.Device(name) {
		return fmt.Errorf("firewall: %q cannot be the overlay device's name: up to 15 letters, digits, dots, dashes and underscores", name)
	}
	return nil
}

// chainPrefix begins the name of every chain of every flanneld. With a device
// name of at most 15 bytes the whole stays within the 28 that iptables takes.
const chainPrefix = "FLANNELD-"

// chainName is the name of the device's chain in each table.
func chainName(device string) string { return chainPrefix + device }
