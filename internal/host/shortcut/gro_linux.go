// SPDX-License-Identifier: Apache-2.0

package shortcut

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"flanneld/internal/host/rtnl"
)

// groPair are two devices. What enters the first one comes out of the second,
// where the kernel makes superpackets of segments. Network cards do so before
// the ingress program sees the datagrams, but not for this format.
type groPair struct {
	out, in int // indexes
	mac     [6]byte
}

// groNames are the names of the pair of an overlay device.
func groNames(device string) (out, in string) {
	return fmt.Sprintf("%.10sgro0", device), fmt.Sprintf("%.10sgro1", device)
}

func groAlias(device string) string { return rtnl.AliasPrefix + ": superpackets of " + device }

// ensureGRO makes the pair, or finds it.
func ensureGRO(device string, mtu int) (pair groPair, made bool, err error) {
	out, in := groNames(device)
	first, err := netlink.LinkByName(out)
	if err == nil && first.Attrs().Alias != groAlias(device) {
		return pair, false, fmt.Errorf("device %s is another program's (ip link delete %s)", out, out)
	}
	second, other := netlink.LinkByName(in)
	if err != nil || other != nil {
		if err == nil {
			_ = netlink.LinkDel(first)
		}
		if first, second, err = makeGRO(device, out, in, mtu); err != nil {
			return pair, false, fmt.Errorf("make the devices %s and %s: %w", out, in, err)
		}
		made = true
	}
	for _, l := range []netlink.Link{first, second} {
		if l.Attrs().MTU != mtu {
			if err := netlink.LinkSetMTU(l, mtu); err != nil {
				return pair, made, fmt.Errorf("set the MTU of %s: %w", l.Attrs().Name, err)
			}
		}
		if l.Attrs().Flags&unix.IFF_UP == 0 {
			if err := netlink.LinkSetUp(l); err != nil {
				return pair, made, fmt.Errorf("set %s up: %w", l.Attrs().Name, err)
			}
		}
	}
	// Only what comes from a device without segmentation offload is put
	// together.
	if _, err := rtnl.Ethtool(out, unix.ETHTOOL_STSO, 0); err != nil {
		return pair, made, fmt.Errorf("switch segmentation offload of %s off: %w", out, err)
	}
	if _, err := rtnl.Ethtool(in, unix.ETHTOOL_SGRO, 1); err != nil {
		return pair, made, fmt.Errorf("switch GRO of %s on: %w", in, err)
	}
	pair = groPair{out: first.Attrs().Index, in: second.Attrs().Index}
	copy(pair.mac[:], second.Attrs().HardwareAddr)
	return pair, made, nil
}

func makeGRO(device, out, in string, mtu int) (first, second netlink.Link, err error) {
	queues, err := ebpf.PossibleCPU() // each processor has one, and packets of a flow keep their order
	if err != nil {
		return nil, nil, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.NumTxQueues, attrs.NumRxQueues = out, mtu, queues, 1
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: in, PeerMTU: uint32(mtu), PeerNumTxQueues: 1, PeerNumRxQueues: uint32(queues)}
	if err := netlink.LinkAdd(pair); err != nil {
		return nil, nil, err
	}
	if first, err = netlink.LinkByName(out); err != nil {
		return nil, nil, err
	}
	if second, err = netlink.LinkByName(in); err != nil {
		return nil, nil, err
	}
	for _, l := range []netlink.Link{first, second} {
		if err := netlink.LinkSetAlias(l, groAlias(device)); err != nil {
			return nil, nil, err
		}
		if err := netlink.LinkSetARPOff(l); err != nil {
			return nil, nil, err
		}
		_ = netlink.LinkSetIP6AddrGenMode(l, nl.IN6_ADDR_GEN_MODE_NONE) // a host without IPv6 has no such mode
	}
	return first, second, nil
}

// presentGRO names the pair, if it is there.
func presentGRO(device string) string {
	out, _ := groNames(device)
	if l, err := netlink.LinkByName(out); err == nil && l.Attrs().Alias == groAlias(device) {
		return out
	}
	return ""
}

// removeGRO deletes the pair. Without one it does nothing.
func removeGRO(device string) error {
	name := presentGRO(device)
	if name == "" {
		return nil
	}
	l, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkDel(l)
	}
	if err != nil && !errors.As(err, &netlink.LinkNotFoundError{}) {
		return fmt.Errorf("delete device %s: %w", name, err)
	}
	return nil
}

// indexOf is the index of a device, 0 for none.
func indexOf(name string) int {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return 0
	}
	return l.Attrs().Index
}
