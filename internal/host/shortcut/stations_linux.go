// SPDX-License-Identifier: Apache-2.0

package shortcut

import (
	"context"
	"errors"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"flanneld/internal/host/rtnl"
)

// station is struct station: a MAC address behind a bridge.
type station struct {
	bridge int
	mac    [6]byte
}

func (s station) key() *objectStation { return &objectStation{Bridge: uint32(s.bridge), Mac: s.mac} }

// stations are which port of a bridge each MAC address is behind.
type stations map[station]int

// stationOf reads an entry of a forwarding database that a bridge has learned
// or was given. The bridge's own addresses are none.
func stationOf(n *netlink.Neigh) (s station, port int, ok bool) {
	if n.Family != unix.AF_BRIDGE || n.MasterIndex == 0 || len(n.HardwareAddr) != len(s.mac) || n.Vlan != 0 ||
		n.State&netlink.NUD_PERMANENT != 0 {
		return s, 0, false
	}
	s.bridge = n.MasterIndex
	copy(s.mac[:], n.HardwareAddr)
	return s, n.LinkIndex, true
}

// readStations reads those of these bridges.
func readStations(bridges map[int]bool) (stations, error) {
	list, err := rtnl.BridgeFDB()
	if err != nil {
		return nil, err
	}
	all := stations{}
	for i := range list {
		if s, port, ok := stationOf(&list[i]); ok && bridges[s.bridge] {
			all[s] = port
		}
	}
	return all, nil
}

// sync makes the kernel's map as wanted, as far as there is room. It returns
// how many stations found none: a container can let its bridge learn any number
// of addresses.
func (p *programs) sync(want stations) (without int, err error) {
	var key objectStation
	var port uint32
	var gone []objectStation
	have := stations{}
	for each := p.Stations.Iterate(); each.Next(&key, &port); {
		s := station{int(key.Bridge), key.Mac}
		if _, ok := want[s]; !ok {
			gone = append(gone, key)
		}
		have[s] = int(port)
	}
	for i := range gone {
		if err := p.Stations.Delete(&gone[i]); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return 0, err
		}
	}
	for s, port := range want {
		if have[s] == port {
			continue
		}
		if err := p.Stations.Put(s.key(), uint32(port)); errors.Is(err, unix.E2BIG) {
			without++
		} else if err != nil {
			return 0, err
		}
	}
	return without, nil
}

// Follow keeps up with the bridges' forwarding databases, and looks whether
// other programs have taken links away, until ctx ends.
func (p *Part) Follow(ctx context.Context) {
	const groups = unix.RTMGRP_NEIGH | unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR
	links, err := rtnl.WatchMessages(ctx, unix.NETLINK_ROUTE, groups, p.heed)
	if err != nil {
		links = nil // Ensure reads all
	}
	p.watch(ctx, links)
}

// heed takes over one message of the kernel, and reports whether an Ensure is
// due.
func (p *Part) heed(h unix.NlMsghdr, body []byte) bool {
	if h.Type != unix.RTM_NEWNEIGH && h.Type != unix.RTM_DELNEIGH {
		return true
	}
	if len(body) == 0 || body[0] != unix.AF_BRIDGE {
		return false
	}
	n, err := netlink.NeighDeserialize(body)
	if err != nil {
		return false
	}
	s, port, ok := stationOf(n)
	if !ok {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.programs.Stations == nil || !p.redirected[s.bridge] {
		return false
	}
	if h.Type == unix.RTM_NEWNEIGH {
		err := p.programs.Stations.Put(s.key(), uint32(port))
		return err != nil && !errors.Is(err, unix.E2BIG) // an Ensure would find no room either
	}
	var have uint32
	if p.programs.Stations.Lookup(s.key(), &have) == nil && int(have) == port {
		_ = p.programs.Stations.Delete(s.key())
	}
	return false
}
