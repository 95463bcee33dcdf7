// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// PlainHost is a host that runs flannel's udp backend, as it is. It has a TUN
// device without offloads, which goes away with it, and sends each packet in a
// datagram of its own. Unlike a [Speaker] it has a kernel's network stack
// behind it.
type PlainHost struct {
	device *os.File
	conn   *net.UDPConn
	peers  map[netip.Prefix]netip.AddrPort // by the addresses that they have
	ended  chan struct{}                   // one for each direction
	once   sync.Once
}

// plainPort is flannel's port.
const plainPort = 8285

// StartPlain makes the host a plain one that holds the overlay address and
// forwards everything else to the peer; it stops when the test ends.
func (h *Host) StartPlain(addr netip.Addr, mtu int, peer netip.AddrPort) *PlainHost {
	h.lab.t.Helper()
	return h.startPlain(addr, mtu, map[netip.Prefix]netip.AddrPort{Overlay: peer})
}

// StartFlannel makes the host one that flannel has given the lease, among
// others that have the leases in peers. Device, route and subnet.env are as
// flannel makes them. It stops when the test ends, or before that by Stop.
func (h *Host) StartFlannel(lease netip.Prefix, mtu int, peers map[netip.Prefix]netip.AddrPort) *PlainHost {
	h.lab.t.Helper()
	h.Sysctl(h.lab.t, "net.ipv4.ip_forward", "1")
	file := fmt.Sprintf("FLANNEL_NETWORK=%s\nFLANNEL_SUBNET=%s/%d\nFLANNEL_MTU=%d\nFLANNEL_IPMASQ=false\n",
		Overlay, lease.Addr().Next(), lease.Bits(), mtu)
	if err := os.WriteFile(filepath.Join(h.RunDir, "subnet.env"), []byte(file), 0o644); err != nil {
		h.lab.t.Fatalf("%s: %v", h.NodeName, err)
	}
	return h.startPlain(lease.Addr(), mtu, peers)
}

func (h *Host) startPlain(addr netip.Addr, mtu int, peers map[netip.Prefix]netip.AddrPort) *PlainHost {
	h.lab.t.Helper()
	t := h.lab.t
	p := &PlainHost{conn: h.ListenUDP(t, netip.AddrPortFrom(h.Addr, plainPort)), peers: peers, ended: make(chan struct{}, 2)}
	err := h.Do(func() (err error) {
		p.device, err = openTUN("flannel0")
		return err
	})
	if err != nil {
		t.Fatalf("%s: make a TUN device: %v", h.NodeName, err)
	}
	h.Exec(t, "ip", "link", "set", "flannel0", "mtu", fmt.Sprint(mtu), "up")
	h.Exec(t, "ip", "address", "add", addr.String()+"/32", "dev", "flannel0")
	h.Exec(t, "ip", "route", "add", Overlay.String(), "dev", "flannel0", "src", addr.String())
	go func() { p.wrap(); p.ended <- struct{}{} }()
	go func() { p.unwrap(); p.ended <- struct{}{} }()
	t.Cleanup(p.Stop)
	return p
}

// Stop ends it, and the device with it. It may be called again.
func (p *PlainHost) Stop() {
	p.once.Do(func() {
		p.device.Close()
		p.conn.Close()
		<-p.ended
		<-p.ended
	})
}

// openTUN makes a TUN device, which goes away with the file.
func openTUN(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("open", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// wrap sends each packet of the device as a datagram.
func (p *PlainHost) wrap() {
	buf := make([]byte, 1<<16)
	for {
		n, err := p.device.Read(buf)
		if err != nil {
			return
		}
		if n < 20 || buf[0]>>4 != 4 {
			continue // the kernel's own IPv6
		}
		if peer, ok := p.peerOf(netip.AddrFrom4([4]byte(buf[16:20]))); ok {
			p.conn.WriteToUDPAddrPort(buf[:n], peer)
		}
	}
}

func (p *PlainHost) peerOf(to netip.Addr) (netip.AddrPort, bool) {
	for lease, peer := range p.peers {
		if lease.Contains(to) {
			return peer, true
		}
	}
	return netip.AddrPort{}, false
}

// unwrap gives each datagram to the device. What is no packet it refuses.
func (p *PlainHost) unwrap() {
	buf := make([]byte, 1<<16)
	for {
		n, _, err := p.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		p.device.Write(buf[:n])
	}
}
