// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"flanneld/internal/host/link"
	"flanneld/internal/host/rtnl"
)

// do takes one step.
func (k *netlinkKernel) do(vxlan string, s step) error {
	switch s.do {
	case addDevice:
		return k.addDevice(s.dev)
	case delDevice:
		clear(k.indexes)
		err := netlink.LinkDel(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: s.dev.index}, LinkType: s.dev.kind})
		if rtnl.Gone(err) {
			return nil
		}
		return err
	case setForwarding:
		return link.SetForwarding(s.dev.name)
	case setLoose:
		return link.SetLoose(s.dev.name)
	case setChecksums:
		return leaveChecksums(s.dev.name, s.dev.checksums)
	case setAlias, setMAC, setMTU, setAlone, setIP6None, addAddr, setUp, delAddr:
		return k.changeDevice(s)
	case setNeighbor, delNeighbor, setFDB, delFDB:
		return k.changeEntry(vxlan, s)
	case addRoute, replaceRoute, takeRoute, delRoute:
		return k.changeRoute(s)
	}
	panic(fmt.Sprintf("kernelpath: unknown action %d", s.do))
}

// addDevice makes a device. The MAC address comes with it: systemd-udevd gives
// another one to a device that is made without. Outer packets of ipip have the
// time to live of the inner ones: with one of its own, the kernel would forbid
// that they are fragmented, and larger ones would vanish on a smaller path.
func (k *netlinkKernel) addDevice(d device) error {
	clear(k.indexes)
	a := netlink.NewLinkAttrs()
	a.Name, a.MTU = d.name, d.mtu
	var l netlink.Link
	if d.kind == kindVXLAN {
		a.HardwareAddr = d.mac[:]
		l = &netlink.Vxlan{LinkAttrs: a, VxlanId: int(d.vni), SrcAddr: d.local.AsSlice(), Port: int(d.port)}
	} else {
		l = &netlink.Iptun{LinkAttrs: a, Local: d.local.AsSlice()}
	}
	err := netlink.LinkAdd(l)
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		return errNoModule
	case errors.Is(err, unix.EEXIST) && d.kind == kindIPIP:
		return errTunnelTaken
	case errors.Is(err, unix.EEXIST):
		return errVNITaken
	}
	return err
}

func (k *netlinkKernel) changeDevice(s step) error {
	index, err := k.index(s.dev.name)
	if err != nil {
		return err
	}
	l := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: index, Name: s.dev.name}, LinkType: s.dev.kind}
	switch s.do {
	case setAlias:
		return netlink.LinkSetAlias(l, s.dev.alias)
	case setMAC:
		return netlink.LinkSetHardwareAddr(l, s.dev.mac[:])
	case setMTU:
		return netlink.LinkSetMTU(l, s.dev.mtu)
	case setAlone:
		return netlink.LinkSetNoMaster(l)
	case setIP6None:
		return netlink.LinkSetIP6AddrGenMode(l, nl.IN6_ADDR_GEN_MODE_NONE)
	case addAddr:
		return rtnl.Ignore(netlink.AddrAdd(l, &netlink.Addr{IPNet: rtnl.IPNet(s.addr)}), unix.EEXIST)
	case delAddr:
		return rtnl.Ignore(netlink.AddrDel(l, &netlink.Addr{IPNet: rtnl.IPNet(s.addr)}), unix.EADDRNOTAVAIL)
	}
	err = netlink.LinkSetUp(l)
	if errors.Is(err, unix.EADDRINUSE) {
		return errPortTaken
	}
	return err
}

func (k *netlinkKernel) changeEntry(vxlan string, s step) error {
	index, err := k.index(vxlan)
	if err != nil {
		return err
	}
	n := rtnl.Neighbor{Index: index, Family: unix.AF_INET, Addr: s.addr.Addr()}
	if s.do == setFDB || s.do == delFDB {
		n.Family, n.Addr, n.Port = unix.AF_BRIDGE, s.far.addr, s.far.port
	}
	if s.do != delNeighbor {
		n.MAC = s.mac[:]
	}
	if s.do == setNeighbor || s.do == setFDB {
		return rtnl.SetNeighbor(n)
	}
	return rtnl.Ignore(rtnl.DelNeighbor(n), unix.ENOENT)
}

func (k *netlinkKernel) changeRoute(s step) error {
	r := &netlink.Route{
		Dst: rtnl.IPNet(s.route.dst), Gw: s.route.via.AsSlice(), Src: s.route.src.AsSlice(), MTU: s.route.mtu, Protocol: Protocol,
	}
	if s.do == delRoute {
		// The destination and the protocol are enough. The device may be gone.
		return rtnl.Ignore(netlink.RouteDel(&netlink.Route{Dst: r.Dst, Protocol: Protocol, Src: r.Src, Scope: netlink.SCOPE_NOWHERE}), unix.ESRCH)
	}
	index, err := k.index(s.route.dev)
	if rtnl.Gone(err) {
		return errNotYet
	} else if err != nil {
		return err
	}
	r.LinkIndex = index
	r.SetFlag(netlink.FLAG_ONLINK)
	if s.do != addRoute {
		err = netlink.RouteReplace(r)
	} else {
		err = netlink.RouteAdd(r)
	}
	switch {
	case errors.Is(err, unix.EEXIST):
		return errTaken
	case errors.Is(err, unix.ENETDOWN), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENETUNREACH),
		errors.Is(err, unix.EINVAL) && !isLocal(s.route.src):
		return errNotYet
	}
	return err
}

// isLocal reports whether this host has an address.
func isLocal(a netip.Addr) bool {
	addrs, err := rtnl.Addrs(nil)
	if err != nil {
		return true
	}
	for _, have := range addrs {
		if rtnl.Addr(have.IP) == a {
			return true
		}
	}
	return false
}
