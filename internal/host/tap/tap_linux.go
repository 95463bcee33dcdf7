// SPDX-License-Identifier: Apache-2.0

package tap

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// pattern is the name of the device; the kernel puts a number in.
const pattern = "fltrace%d"

// Port is a port of a bridge. Read and Write take one Ethernet frame each: Read
// returns what the bridge sends to the port, Write gives the bridge a frame
// that comes from it. They may be called concurrently. Close ends a Read.
type Port struct {
	*os.File
	Name string           // of the device
	MAC  net.HardwareAddr // to use as the source of frames
}

// Open makes a port at a bridge. The bridge may need a second before it takes
// frames from it.
func Open(bridge string) (*Port, error) {
	master, err := netlink.LinkByName(bridge)
	if err != nil {
		return nil, fmt.Errorf("bridge %s: %w: %w", bridge, ErrNoBridge, err)
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	p, err := attach(fd, master)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("add a port to %s: %w", bridge, err), unix.Close(fd))
	}
	return p, nil
}

// attach makes the device of a descriptor, and plugs it in.
func attach(fd int, master netlink.Link) (*Port, error) {
	request, err := unix.NewIfreq(pattern)
	if err != nil {
		return nil, err
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return nil, fmt.Errorf("make the device: %w", err)
	}
	link, err := netlink.LinkByName(request.Name())
	if err != nil {
		return nil, err
	}
	if err := netlink.LinkSetMTU(link, master.Attrs().MTU); err != nil { // or the bridge would take a smaller one
		return nil, fmt.Errorf("set the MTU of %s: %w", request.Name(), err)
	}
	if err := netlink.LinkSetMaster(link, master); err != nil {
		return nil, err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return nil, err
	}
	// The device's own address belongs to the bridge's host. Frames come from
	// one beside it, which is locally administered.
	mac := append(net.HardwareAddr(nil), link.Attrs().HardwareAddr...)
	mac[0], mac[5] = mac[0]&^1|2, mac[5]^1
	return &Port{File: os.NewFile(uintptr(fd), request.Name()), Name: request.Name(), MAC: mac}, nil
}
