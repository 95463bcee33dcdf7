// SPDX-License-Identifier: Apache-2.0

// Package underlay finds the address under which other nodes reach this one,
// and checks that the overlay network stays clear of what the host has already.
//
// The decisions are pure functions over a snapshot of the host (host.go); only
// the snapshot itself asks the kernel.
package underlay

import (
	"errors"
	"fmt"
	"net/netip"
)

// ErrPlatform is returned where the host is not Linux.
var ErrPlatform = errors.New("underlay: flanneld runs on Linux only")

// ErrNotYet is what errors are that time may mend: an interface, an address or
// a route that is not there may come. Of others only a change of the settings
// helps.
var ErrNotYet = errors.New("underlay: not there yet")

// notYet makes an ErrNotYet of an error, which keeps its text.
type notYet struct{ error }

func (notYet) Is(target error) bool { return target == ErrNotYet }

func (e notYet) Unwrap() error { return e.error }

// Options say which underlay address to take; they are flannel's flags of the
// same names. With none of the first three set it is the interface of the
// default route. Names are tried before expressions, each list in order, and
// the first that fits is taken.
type Options struct {
	Iface      []string   // --iface: interface names, alternative ones too, or IPv4 addresses
	IfaceRegex []string   // --iface-regex: match a whole interface's name or any of its addresses
	CanReach   netip.Addr // --iface-can-reach: the interface of the route to this address
	PublicIP   netip.Addr // --public-ip: announced instead of the interface's address
	Device     string     // the overlay device, which is never the underlay
	// Prefer is the address to keep, where the interface that is found has it.
	Prefer netip.Addr
}

// Underlay is this node's place on the underlay.
type Underlay struct {
	Interface  string     // by which datagrams leave; its name
	Index      int        // its index in this network namespace
	Addr       netip.Addr // IPv4, of that interface or of a loopback one; sockets are bound to it
	PublicAddr netip.Addr // what is announced to other nodes; Addr unless set
	MTU        int        // of the interface, bytes
}

// String is one line for the log: eth0 192.0.2.1, announced as 198.51.100.7.
func (u Underlay) String() string {
	s := fmt.Sprintf("%s %s", u.Interface, u.Addr)
	if u.PublicAddr != u.Addr {
		s += fmt.Sprintf(", announced as %s", u.PublicAddr)
	}
	return s
}

// Outside returns an error when one of the underlay's addresses lies in the
// overlay network: its datagrams would be routed into the overlay again.
func (u Underlay) Outside(network netip.Prefix) error {
	for _, a := range []netip.Addr{u.Addr, u.PublicAddr} {
		if network.Contains(a) {
			return fmt.Errorf("underlay: address %s of this node lies in the overlay network %s: "+
				"choose another network with --network, or another underlay with --iface or --public-ip", a, network)
		}
	}
	return nil
}
