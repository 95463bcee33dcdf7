package lab

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// PlainHost is a host that runs flannel's udp backend, as it is: a TUN device
// without offloads, and each packet in a datagram of its own. Unlike a
// [Speaker] it has a kernel's network stack behind it. It knows one other host.
type PlainHost struct {
	device *os.File
	conn   *net.UDPConn
	peer   netip.AddrPort
}

// StartPlain makes the host a plain one that holds the overlay address and
// forwards everything else to the peer; it stops when the test ends.
func (h *Host) StartPlain(addr netip.Addr, mtu int, peer netip.AddrPort) *PlainHost {
	h.lab.t.Helper()
	t := h.lab.t
	p := &PlainHost{conn: h.ListenUDP(t, netip.AddrPortFrom(h.Addr, peer.Port())), peer: peer}
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
	ended := make(chan struct{}, 2)
	go func() { p.wrap(); ended <- struct{}{} }()
	go func() { p.unwrap(); ended <- struct{}{} }()
	t.Cleanup(func() {
		p.device.Close()
		p.conn.Close()
		<-ended
		<-ended
	})
	return p
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
		p.conn.WriteToUDPAddrPort(buf[:n], p.peer)
	}
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
