// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"flanneld/internal/host/rtnl"
)

// nudValid are the states in which the kernel sends to a neighbor's MAC
// address.
const nudValid = netlink.NUD_PERMANENT | netlink.NUD_NOARP | netlink.NUD_REACHABLE | netlink.NUD_PROBE | netlink.NUD_STALE | netlink.NUD_DELAY

// netlinkSegment is the kernel's knowledge, asked by netlink.
type netlinkSegment struct{}

func openSegment() segment { return netlinkSegment{} }

// watchSegment reports changes of ways to other hosts, and of neighbors that
// are news. A channel is nil where the kernel does not report them.
func watchSegment(ctx context.Context, news func(netip.Addr, station) bool) (ways, neighbors <-chan struct{}) {
	ways, err := rtnl.WatchWays(ctx)
	if err != nil {
		ways = nil
	}
	neighbors, err = rtnl.WatchMessages(ctx, unix.NETLINK_ROUTE, unix.RTMGRP_NEIGH, func(h unix.NlMsghdr, body []byte) bool {
		n, ok := rtnl.ParseNeighbor(body)
		s := toStation(n)
		s.valid = s.valid && h.Type == unix.RTM_NEWNEIGH
		return !ok || n.Family == unix.AF_INET && news(n.Addr, s)
	})
	if err != nil {
		neighbors = nil
	}
	return ways, neighbors
}

// ways asks the kernel for its routes.
func (netlinkSegment) ways(endpoints []netip.Addr) map[netip.Addr]way {
	all, devices := map[netip.Addr]way{}, map[int]way{}
	for _, a := range endpoints {
		if w, ok := askWay(a, devices); ok {
			all[a] = w
		}
	}
	return all
}

// askWay asks about one endpoint. devices keeps what is known of them.
func askWay(endpoint netip.Addr, devices map[int]way) (w way, ok bool) {
	found, err := netlink.RouteGet(endpoint.AsSlice())
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ESRCH),
		errors.Is(err, unix.EINVAL), errors.Is(err, unix.EACCES): // no route is an answer, and so is one that leads nowhere
		return way{}, true
	case err != nil || len(found) == 0:
		return way{}, false
	}
	r := found[0]
	if w, ok = devices[r.LinkIndex]; !ok {
		l, err := netlink.LinkByIndex(r.LinkIndex)
		if err != nil {
			return way{}, false
		}
		a := l.Attrs()
		w = way{
			device:    a.Name,
			broadcast: a.Flags&net.FlagBroadcast != 0 && a.RawFlags&unix.IFF_NOARP == 0 && len(a.HardwareAddr) == len(hwaddr{}),
		}
		devices[r.LinkIndex] = w
	}
	w.gateway, w.local = rtnl.Addr(r.Gw), r.Type == unix.RTN_LOCAL
	return w, true
}

// stations lists the neighbors on a device.
func (netlinkSegment) stations(device string) (all map[netip.Addr]station, own hwaddr, err error) {
	l, err := netlink.LinkByName(device)
	if err != nil {
		return nil, own, fmt.Errorf("kernelpath: %w", err)
	}
	found, err := rtnl.Neighbors(l.Attrs().Index)
	if err != nil {
		return nil, own, fmt.Errorf("kernelpath: %w", err)
	}
	all = map[netip.Addr]station{}
	for _, n := range found {
		all[n.Addr] = toStation(n)
	}
	return all, toHWAddr(l.Attrs().HardwareAddr), nil
}

func toStation(n rtnl.Neighbor) station {
	return station{mac: toHWAddr(n.MAC), valid: n.State&nudValid != 0, failed: n.State&netlink.NUD_FAILED != 0}
}

// resolve makes the kernel ask for neighbors as for packets to them (NTF_USE).
func (netlinkSegment) resolve(device string, endpoints []netip.Addr) {
	l, err := netlink.LinkByName(device)
	if err != nil {
		return
	}
	for _, a := range endpoints {
		_ = rtnl.Resolve(l.Attrs().Index, a)
	}
}
