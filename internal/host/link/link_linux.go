// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"flanneld/internal/host/rtnl"
)

// Ensure sets the device up as configured, and returns one sentence for each
// change. It changes nothing when the device is right, so it may be called at
// any time. Addresses and routes of an older lease are removed. The error is
// ErrNoDevice when the device is missing (open it again with tun.Open),
// ErrForeign when it is another program's, ErrRouteTaken when the network is
// routed elsewhere. Ensure stops at the first failed step. Two calls for one
// device must not overlap.
func Ensure(c Config) ([]string, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	l, s, err := read(c)
	if err != nil {
		return nil, err
	}
	if s.owner() != Ours {
		return nil, foreign(c.Name, s)
	}
	steps := plan(s, c)
	for i, step := range steps {
		if err := do(l, c, step); err != nil {
			return texts(steps[:i]), explain(err, c, s, step)
		}
	}
	return texts(steps), nil
}

// Check returns what Ensure would change, one sentence each; nothing when the
// device is right. A deleted device is ErrNoDevice. It changes nothing.
func Check(c Config) ([]string, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	_, s, err := read(c)
	if err != nil {
		return nil, err
	}
	if s.owner() != Ours {
		return nil, foreign(c.Name, s)
	}
	return texts(plan(s, c)), nil
}

// Owned reports what the device of that name belongs to; ask before tun.Open
// takes it over. A foreign device comes with an ErrForeign that describes it.
func Owned(name string) (Owner, error) {
	_, s, err := readLink(name)
	switch {
	case errors.Is(err, ErrNoDevice):
		return Absent, nil
	case err != nil:
		return Absent, err
	case s.owner() == Ours:
		return Ours, nil
	}
	return Foreign, foreign(name, s)
}

// Remove deletes the device, and with it its addresses and routes. A device
// that is not there is no error; a foreign one is ErrForeign and stays.
func Remove(name string) error {
	l, s, err := readLink(name)
	switch {
	case errors.Is(err, ErrNoDevice):
		return nil
	case err != nil:
		return err
	case s.owner() != Ours:
		return foreign(name, s)
	}
	if err := netlink.LinkDel(l); err != nil && !rtnl.Gone(err) {
		return fmt.Errorf("link: remove %s: %w", name, err)
	}
	return nil
}

// do takes one step.
func do(l netlink.Link, c Config, s step) error {
	switch s.do {
	case setName:
		if err := netlink.LinkSetDown(l); err != nil {
			return err
		}
		return netlink.LinkSetName(l, c.Name)
	case setIP6None:
		return netlink.LinkSetIP6AddrGenMode(l, addrGenModeNone)
	case setAlias:
		return netlink.LinkSetAlias(l, c.Alias)
	case setMTU:
		return netlink.LinkSetMTU(l, c.MTU)
	case setTxQueue:
		return netlink.LinkSetTxQLen(l, c.TxQueueLen)
	case setUp:
		return netlink.LinkSetUp(l)
	case delBroadcast:
		return rtnl.Ignore(netlink.RouteDel(&netlink.Route{
			LinkIndex: s.other.index, Dst: rtnl.IPNet(netip.PrefixFrom(c.Addr, 32)),
			Type: unix.RTN_BROADCAST, Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_LINK,
		}), unix.ESRCH)
	case addAddr:
		return rtnl.Ignore(netlink.AddrAdd(l, &netlink.Addr{IPNet: rtnl.IPNet(s.addr)}), unix.EEXIST)
	case delAddr:
		return rtnl.Ignore(netlink.AddrDel(l, &netlink.Addr{IPNet: rtnl.IPNet(s.addr)}), unix.EADDRNOTAVAIL)
	case addRoute:
		return netlink.RouteAdd(toRoute(l, s.route))
	case replaceRoute:
		return netlink.RouteReplace(toRoute(l, s.route))
	case delRoute:
		return rtnl.Ignore(netlink.RouteDel(toRoute(l, s.route)), unix.ESRCH)
	}
	panic(fmt.Sprintf("link: unknown action %d", s.do))
}

func foreign(name string, s state) error {
	return fmt.Errorf("link: %w: %s is %s: remove it (ip link delete %s), or choose another name with --device", ErrForeign, name, s.describe(), name)
}

// explain gives a failed step its subject.
func explain(err error, c Config, s state, failed step) error {
	switch {
	case rtnl.Gone(err):
		return fmt.Errorf("link: %w: %s was deleted meanwhile", ErrNoDevice, c.Name)
	case failed.do == addRoute && errors.Is(err, unix.EEXIST):
		by := s.routedBy
		if by == "" {
			by = "another device"
		}
		return fmt.Errorf("link: %w: %s is routed to %s already: remove that route, or choose another network with --network", ErrRouteTaken, c.Network, by)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("link: %s: %s: not permitted: run as root or with CAP_NET_ADMIN", c.Name, failed.text)
	}
	return fmt.Errorf("link: %s: %s: %w", c.Name, failed.text, err)
}
