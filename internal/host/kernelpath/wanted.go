// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"flanneld/internal/host/link"
)

// aliasOf is the alias of the tunnel devices beside an overlay device.
func aliasOf(alias, overlay string) string { return alias + " " + overlay }

// hasAlias reports whether an alias is one of the flanneld of an overlay
// device, in this process or in an earlier one.
func hasAlias(alias, overlay string) bool {
	return strings.HasPrefix(alias, link.AliasPrefix) && strings.HasSuffix(alias, " "+overlay)
}

// overlayOf is the overlay device of the flanneld that gave an alias to a
// tunnel device; "" for the alias of another program.
func overlayOf(alias string) string {
	words := strings.Fields(alias)
	if len(words) < 3 || words[0] != link.AliasPrefix {
		return ""
	}
	return words[len(words)-1]
}

// wantedDevices are the tunnel devices of a configuration.
func (c Config) wantedDevices(overlay string, checksums bool) []device {
	base := device{
		local: c.Local, plain: true, alias: aliasOf(c.Alias, overlay), mtu: c.MTU, up: true, forwarding: true, rpFilter: link.RPLoose,
		checksums: true, addrs: []netip.Prefix{netip.PrefixFrom(c.Lease.Addr(), 32)},
	}
	var all []device
	if c.VXLAN != nil {
		d := base
		d.name, d.kind, d.vni, d.port, d.mac = c.VXLAN.Name, kindVXLAN, c.VXLAN.VNI, c.VXLAN.Port, toHWAddr(c.VXLAN.MAC)
		d.checksums = checksums
		all = append(all, d)
	}
	if c.IPIP != nil {
		d := base
		d.name, d.kind = c.IPIP.Name, kindIPIP
		all = append(all, d)
	}
	return all
}

// wanted is what belongs to the peers, and which peers are refused.
type wanted struct {
	entries
	owners  map[hwaddr]netip.Prefix // of the MAC addresses
	refused map[netip.Prefix]string
}

// wantedEntries makes the entries of peers. Where two peers have one MAC
// address, the owner before keeps it, else the first in the list has it.
func (c Config) wantedEntries(peers []Peer, before map[hwaddr]netip.Prefix) wanted {
	w := wanted{entries: newEntries(), owners: map[hwaddr]netip.Prefix{}, refused: map[netip.Prefix]string{}}
	sorted := slices.Clone(peers)
	slices.SortStableFunc(sorted, func(a, b Peer) int {
		return cmp.Compare(newcomer(a, before), newcomer(b, before))
	})
	seen := map[netip.Prefix]bool{}
	for _, p := range sorted {
		why := c.refuse(p)
		if why == "" && seen[p.Prefix] {
			why = "the prefix is there twice"
		}
		if why == "" && p.VXLAN {
			why = w.addVXLAN(c, p)
		}
		if why != "" {
			w.refused[p.Prefix] = why
			continue
		}
		seen[p.Prefix] = true
		w.addRoute(c, p)
	}
	return w
}

// newcomer is 0 for the peer that has its MAC address already, else 1.
func newcomer(p Peer, before map[hwaddr]netip.Prefix) int {
	if owner, ok := before[toHWAddr(p.MAC)]; ok && owner == p.Prefix {
		return 0
	}
	return 1
}

// refuse reports why nothing can be made for a peer; "" where all can.
func (c Config) refuse(p Peer) string {
	switch {
	case !inside(c.Network, p.Prefix):
		return fmt.Sprintf("%s is no part of the network %s", p.Prefix, c.Network)
	case p.Prefix.Overlaps(c.Lease):
		return fmt.Sprintf("%s overlaps this node's own lease", p.Prefix)
	case !p.Endpoint.Is4() || c.Network.Contains(p.Endpoint):
		return fmt.Sprintf("%s cannot be an endpoint", p.Endpoint)
	case p.Endpoint == c.Local:
		return fmt.Sprintf("endpoint %s is this node's own", p.Endpoint)
	}
	switch p.Path {
	case "", Direct, Vxlan, Ipip:
		return ""
	}
	return fmt.Sprintf("%q is no path of the kernel", p.Path)
}

// addVXLAN adds a peer's neighbor and FDB entry, or reports why not.
func (w *wanted) addVXLAN(c Config, p Peer) string {
	if c.VXLAN == nil {
		return ""
	}
	mac, far := toHWAddr(p.MAC), remote{addr: p.Endpoint, port: p.Port}
	if far.port == c.VXLAN.Port {
		far.port = 0
	}
	if !usable(p.MAC) {
		return fmt.Sprintf("%q is no MAC address of a device", p.MAC)
	}
	if mac == toHWAddr(c.VXLAN.MAC) {
		return fmt.Sprintf("MAC address %s is this node's own", mac)
	}
	if owner, ok := w.owners[mac]; ok && w.fdb[mac] != far {
		return fmt.Sprintf("MAC address %s is that of the holder of %s", mac, owner)
	}
	if _, ok := w.owners[mac]; !ok {
		w.owners[mac] = p.Prefix
	}
	w.fdb[mac] = far
	w.neighbors[p.Prefix.Addr()] = neighbor{mac: mac, permanent: true}
	return ""
}

// addRoute adds a peer's route, where its path has a device.
func (w *wanted) addRoute(c Config, p Peer) {
	r := route{dst: p.Prefix, via: p.Endpoint, src: c.Lease.Addr(), mtu: c.MTU, onlink: true}
	if p.MTU > 0 {
		r.mtu = min(r.mtu, p.MTU)
	}
	switch {
	case p.Path == Direct:
		r.dev = c.Underlay
	case p.Path == Vxlan && p.VXLAN && c.VXLAN != nil:
		r.dev, r.via = c.VXLAN.Name, p.Prefix.Addr()
	case p.Path == Ipip && c.IPIP != nil:
		r.dev = c.IPIP.Name
	}
	if r.dev != "" {
		w.routes[p.Prefix] = r
	}
}
