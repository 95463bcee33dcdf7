// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"flanneld/internal/config"
	"flanneld/internal/host/bridge"
	"flanneld/internal/host/underlay"
	"flanneld/internal/problem"
)

// Two things make it easy to move a host here from flannel, and back. They are
// one list of static peers for all hosts, and the subnet that the host has
// already.

// skipSelf takes the static peers that name this host out of the configuration.
func (d *daemon) skipSelf(u underlay.Underlay) error {
	if len(d.cfg.StaticPeers) == 0 {
		return nil
	}
	local, err := localAddrs()
	if err != nil {
		d.log.Warn("comparing static peers with the underlay address only", "error", err)
	}
	cfg, itself, err := d.cfg.WithoutSelf(func(e netip.AddrPort) bool { return isOwn(e, local, u, d.cfg.Port) })
	if err != nil {
		return err
	}
	d.cfg, d.itself = cfg, itself
	for _, p := range itself {
		d.log.Info("static peer is this host itself; the entry is not used", "entry", p)
	}
	return nil
}

// isOwn reports whether an endpoint is of the host that has the local
// addresses, and u. What is announced may be a router's address, which hosts
// behind it share: there the port counts, too, as it does on loopback.
func isOwn(e netip.AddrPort, local []netip.Addr, u underlay.Underlay, port uint16) bool {
	if a := e.Addr(); !a.IsLoopback() && (a == u.Addr || slices.Contains(local, a)) {
		return true
	}
	return (e.Addr() == u.PublicAddr || e.Addr() == u.Addr) && e.Port() == port
}

// localAddrs are the addresses of this host's interfaces.
func localAddrs() ([]netip.Addr, error) {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list the addresses of this host: %w", err)
	}
	var local []netip.Addr
	for _, a := range found {
		if n, ok := a.(*net.IPNet); ok {
			if addr, ok := netip.AddrFromSlice(n.IP); ok {
				local = append(local, addr.Unmap())
			}
		}
	}
	return local, nil
}

// preferred returns the subnets that this host has already, the best reason
// first. They come from subnet.env, from bridges with containers, from this
// host's entry in the list of static peers, and from idle bridges.
func (d *daemon) preferred() []netip.Prefix {
	found, err := bridge.List()
	if err != nil {
		d.log.Warn("cannot list the bridges of this host; their subnets are not preferred", "error", err)
	}
	return preference(d.leaseOnDisk(), found, d.itself)
}

// preference puts what preferred has found in order. Most of these prefixes are
// no subnets of the overlay network. They are passed over later, when the
// network is known.
func preference(onDisk netip.Prefix, found []bridge.Bridge, itself []config.StaticPeer) []netip.Prefix {
	var all []netip.Prefix
	if onDisk.IsValid() {
		all = append(all, onDisk)
	}
	all = append(all, bridged(found, true)...)
	for _, p := range itself {
		all = append(all, p.Subnet)
	}
	return append(all, bridged(found, false)...)
}

// bridged are the subnets of the bridges that are in use, or of the others.
func bridged(found []bridge.Bridge, used bool) []netip.Prefix {
	var all []netip.Prefix
	for _, b := range found {
		for _, a := range b.Addrs {
			if b.Used() == used {
				all = append(all, a.Masked())
			}
		}
	}
	return all
}

// reportOwnSubnet names the static peers that have addresses of this node's own
// lease, at another host's address. They are not used: the lease was granted by
// the holders, the entry was told to this node alone.
func (d *daemon) reportOwnSubnet(lease netip.Prefix) {
	var found []problem.Problem
	for _, p := range d.cfg.StaticPeers {
		if p.Subnet.Overlaps(lease) {
			found = append(found, problem.Problem{
				Text:   fmt.Sprintf("static peer %s has addresses of this node's own lease %s, and is not used", p, lease),
				Advice: "remove this --static-peer, or correct its subnet or address",
			})
		}
	}
	d.problems.Report(problem.PartStaticPeers, found...)
}
