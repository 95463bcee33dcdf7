// SPDX-License-Identifier: Apache-2.0

package shortcut

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"flanneld/internal/host/rtnl"
	"flanneld/internal/valid"
)

// groPair are two devices. What enters the first one comes out of the second,
// where the kernel makes superpackets of segments. Network cards do so before
// the ingress program sees the datagrams, but not for this format.
type groPair struct {
	out, in int // indexes
	mac     [6]byte
}

// groNames are the names of the pair of an overlay device. A long name of a
// device does not fit into another one, so a hash tells devices apart.
func groNames(device string) (out, in string) {
	const room = valid.MaxDevice - len("gro0") - 1 // as in formerGRO
	if len(device) > room {
		device = fmt.Sprintf("%.4s%.3x", device, sha256.Sum256([]byte(device)))
	}
	return device + "gro0", device + "gro1"
}

// formerGRO is the first name of the pair that earlier versions made.
func formerGRO(device string) string { return fmt.Sprintf("%.10sgro0", device) }

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

// presentGRO names the pairs that are there, each by its first device: no more
// than one, but for one of an earlier version.
func presentGRO(device string) (all []string) {
	now, _ := groNames(device)
	for _, name := range []string{now, formerGRO(device)} {
		l, err := netlink.LinkByName(name)
		if err == nil && l.Attrs().Alias == groAlias(device) && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// removeGRO deletes the pair. Without one it does nothing.
func removeGRO(device string) error {
	for _, name := range presentGRO(device) {
		if err := deleteGRO(name); err != nil {
			return err
		}
	}
	return nil
}

// removeFormerGRO deletes the pair of an earlier version, if it had another
// name. Without one it does nothing.
func removeFormerGRO(device string) error {
	now, _ := groNames(device)
	for _, name := range presentGRO(device) {
		if name == now {
			continue
		}
		if err := deleteGRO(name); err != nil {
			return err
		}
	}
	return nil
}

// deleteGRO deletes a pair by its first device.
func deleteGRO(name string) error {
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
