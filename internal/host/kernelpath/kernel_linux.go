// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"flanneld/internal/host/link"
	"flanneld/internal/host/rtnl"
)

// netlinkKernel is the kernel, asked by netlink. It lives as long as one look.
type netlinkKernel struct {
	indexes map[string]int // of devices, as far as they were asked for
}

func openKernel() (kernel, error) { return &netlinkKernel{indexes: map[string]int{}}, nil }

// devices reads the tunnel devices, and whatever has one of the names.
func (*netlinkKernel) devices(names []string) ([]device, error) {
	links, err := rtnl.Links()
	if err != nil {
		return nil, fmt.Errorf("kernelpath: %w", err)
	}
	var all []device
	for _, l := range links {
		kind, name := l.Type(), l.Attrs().Name
		if kind != kindVXLAN && kind != kindIPIP && !slices.Contains(names, name) {
			continue
		}
		d, err := readDevice(l)
		if errors.Is(err, link.ErrNoDevice) || rtnl.Gone(err) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("kernelpath: %w", err)
		}
		all = append(all, d)
	}
	return all, nil
}

func readDevice(l netlink.Link) (d device, err error) {
	a := l.Attrs()
	d = device{
		name: a.Name, kind: l.Type(), index: a.Index, alias: a.Alias, mtu: a.MTU, up: a.Flags&net.FlagUp != 0,
		ip6auto: link.GeneratesIP6(a.Name), enslaved: a.MasterIndex != 0, checksums: true,
	}
	switch t := l.(type) {
	case *netlink.Vxlan:
		d.vni, d.port, d.local, d.mac = uint32(t.VxlanId), uint16(t.Port), rtnl.Addr(t.SrcAddr), toHWAddr(a.HardwareAddr)
	case *netlink.Iptun:
		d.local = rtnl.Addr(t.Local)
	default:
		return d, nil // another program's
	}
	data, err := rtnl.LinkData(a.Index)
	if err != nil {
		return d, err
	}
	d.plain = isBare(d.kind, data)
	if d.kind == kindVXLAN {
		if d.checksums, err = leavesChecksums(a.Name); err != nil {
			return d, err
		}
	}
	if d.forwarding, d.rpFilter, err = link.Settings(a.Name); err != nil {
		return d, err
	}
	addrs, err := rtnl.Addrs(l)
	for _, addr := range addrs {
		if p, ok := rtnl.Prefix(addr.IPNet); ok {
			d.addrs = append(d.addrs, p)
		}
	}
	return d, err
}

// entries reads what belongs to peers.
func (k *netlinkKernel) entries(q query) (entries, error) {
	e := newEntries()
	if q.vxlan != "" {
		index, err := k.index(q.vxlan)
		if err != nil && !rtnl.Gone(err) {
			return e, err
		}
		if err == nil {
			if err := e.readDevice(index); err != nil {
				return e, fmt.Errorf("kernelpath: %w", err)
			}
		}
	}
	if err := e.readRoutes(q); err != nil {
		return e, fmt.Errorf("kernelpath: %w", err)
	}
	return e, nil
}

// readDevice reads neighbors and FDB of the vxlan device.
func (e entries) readDevice(index int) error {
	neighbors, err := rtnl.Neighbors(index)
	if err != nil {
		return err
	}
	for _, n := range neighbors {
		e.neighbors[n.Addr] = neighbor{mac: toHWAddr(n.MAC), permanent: n.State == netlink.NUD_PERMANENT}
	}
	fdb, err := rtnl.FDB(index)
	for _, f := range fdb {
		e.fdb[toHWAddr(f.MAC)] = remote{
			addr: f.Addr, port: f.Port, vni: f.VNI, via: f.Via, nexthop: f.Nexthop, ages: f.State != netlink.NUD_PERMANENT,
		}
	}
	return err
}

// readRoutes reads the main table's routes that are ours, and which of the
// network's are another program's.
func (e entries) readRoutes(q query) error {
	links, err := rtnl.Links()
	if err != nil {
		return err
	}
	foreign, err := othersSources(links, q)
	if err != nil {
		return err
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	all, err := rtnl.Routes()
	for _, r := range all {
		if r.Priority != 0 || r.Tos != 0 {
			continue
		}
		dst, src := rtnl.Destination(r), rtnl.Addr(r.Src)
		if rtnl.KernelPath(r) && !slices.Contains(foreign, src) {
			e.routes[dst] = route{
				dst: dst, via: rtnl.Addr(r.Gw), dev: names[r.LinkIndex], src: src, mtu: r.MTU, onlink: r.Flags&unix.RTNH_F_ONLINK != 0,
			}
		} else if q.network.IsValid() && inside(q.network, dst) {
			e.taken[dst] = taken(r, dst, names)
			if isPlain(r) {
				e.plain[dst] = hop{rtnl.Addr(r.Gw), names[r.LinkIndex]}
			}
		}
	}
	return err
}

// othersSources are the addresses of other flannelds' devices on this host:
// routes with such a source are theirs.
func othersSources(links []netlink.Link, q query) ([]netip.Addr, error) {
	var own, others []netip.Addr
	for _, l := range links {
		a := l.Attrs()
		list := &others
		switch {
		case a.Name == q.overlay || slices.Contains(q.own, a.Name):
			list = &own
		case !strings.HasPrefix(a.Alias, link.AliasPrefix):
			continue
		}
		addrs, err := rtnl.Addrs(l)
		if err != nil && !rtnl.Gone(err) {
			return nil, err
		}
		for _, addr := range addrs {
			*list = append(*list, rtnl.Addr(addr.IP))
		}
	}
	return slices.DeleteFunc(others, func(a netip.Addr) bool { return slices.Contains(own, a) }), nil
}

// isPlain reports whether a route has a gateway and nothing else that matters,
// and was made by hand or by a program that does not name itself.
func isPlain(r netlink.Route) bool {
	return r.Protocol == unix.RTPROT_BOOT && r.Type == unix.RTN_UNICAST && len(r.Gw) > 0 && len(r.MultiPath) == 0 &&
		r.Encap == nil && r.MTU == 0 && len(r.Src) == 0
}

// taken is a route as `ip route` takes it.
func taken(r netlink.Route, dst netip.Prefix, names map[int]string) string {
	words := []string{dst.String()}
	if len(r.Gw) > 0 {
		words = append(words, "via", r.Gw.String())
	}
	if name := names[r.LinkIndex]; name != "" {
		words = append(words, "dev", name)
	}
	return strings.Join(words, " ")
}

// underlay reads the settings of the device that leads to other hosts, and what
// is below it.
func (*netlinkKernel) underlay(device string) (u underlay, err error) {
	if u.forwards, err = link.Forwards(device); err != nil {
		return u, err
	}
	if u.strict, err = link.FiltersStrictly(device); err != nil {
		return u, err
	}
	links, err := rtnl.Links()
	if err != nil {
		return u, fmt.Errorf("kernelpath: %w", err)
	}
	u.spreads = spreadingBond(links, device)
	return u, nil
}

// index is the index of a device.
func (k *netlinkKernel) index(name string) (int, error) {
	if i, ok := k.indexes[name]; ok {
		return i, nil
	}
	l, err := netlink.LinkByName(name)
	if err != nil {
		return 0, err
	}
	k.indexes[name] = l.Attrs().Index
	return l.Attrs().Index, nil
}
