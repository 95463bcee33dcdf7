// SPDX-License-Identifier: Apache-2.0

package packetsocket

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Sender sends packets. The zero value is ready. It opens its sockets when they
// are needed first. Its methods may be called concurrently, and do not wait.
type Sender struct {
	mu     sync.Mutex
	frames socket // takes frames for any device
	raw    socket // takes packets with their IP header
	marked socket // as frames, and marks packets
	closed bool
}

// socket is an open socket, or none.
type socket struct {
	fd   int
	open bool
}

// Send puts a packet on a device, in a frame from the device's present address.
// The device's queue, its offloads and what watches its egress see the packet.
// Routes and the hooks of IP do not.
func (s *Sender) Send(device string, to net.HardwareAddr, packet []byte, o Offload) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ensure(&s.frames, openFrames); err != nil {
		return err
	}
	index, err := indexOf(s.frames.fd, device)
	if err != nil {
		return err
	}
	own, err := hardwareAddr(s.frames.fd, device)
	if err != nil {
		return err
	}
	b, err := frame(to, own, packet, o)
	if err != nil {
		return err
	}
	// The kernel reads the frame's own header, but wants the type here, too.
	address := &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_IP), Ifindex: index, Halen: 6}
	copy(address.Addr[:], to)
	return sent(device, unix.Sendto(s.frames.fd, b, unix.MSG_DONTWAIT, address))
}

// SendMarked puts a packet on a device without a header of its own, such as a
// TUN device. Programs that watch the device's egress see the mark. It has to
// be the same with each call. It needs CAP_NET_ADMIN, too.
func (s *Sender) SendMarked(device string, mark uint32, packet []byte, o Offload) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ensure(&s.marked, func() (int, error) { return openMarked(mark) }); err != nil {
		return err
	}
	index, err := indexOf(s.marked.fd, device)
	if err != nil {
		return err
	}
	b, err := bare(packet, o)
	if err != nil {
		return err
	}
	return sent(device, unix.Sendto(s.marked.fd, b, unix.MSG_DONTWAIT, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_IP), Ifindex: index}))
}

// SendIPIP sends a packet in a packet of protocol 4 between two addresses on
// the underlay, by this host's routes. Nothing of the packet is left to a
// device.
func (s *Sender) SendIPIP(local, remote netip.Addr, packet []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := wrapped(local, remote, packet)
	if err != nil {
		return err
	}
	if err := s.ensure(&s.raw, openRaw); err != nil {
		return err
	}
	return sent(remote.String(), unix.Sendto(s.raw.fd, b, unix.MSG_DONTWAIT, &unix.SockaddrInet4{Addr: remote.As4()}))
}

// sent says what became of a packet. A full queue loses it, as networks do.
func sent(to string, err error) error {
	switch {
	case err == nil, errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.EAGAIN):
		return nil
	case errors.Is(err, unix.EMSGSIZE):
		return fmt.Errorf("send to %s: %w", to, ErrTooLong)
	}
	return fmt.Errorf("send to %s: %w", to, err)
}

// ensure opens a socket unless it is open.
func (s *Sender) ensure(which *socket, open func() (int, error)) (err error) {
	if s.closed {
		return os.ErrClosed
	}
	if !which.open {
		which.fd, err = open()
		which.open = err == nil
	}
	return err
}

// Close closes the sockets. Nothing is sent any more.
func (s *Sender) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var all error
	for _, which := range []*socket{&s.frames, &s.raw, &s.marked} {
		if which.open {
			which.open = false
			all = errors.Join(all, unix.Close(which.fd))
		}
	}
	return all
}

// openFrames opens a socket that receives nothing: it has no protocol.
func openFrames() (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0, fmt.Errorf("open a packet socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
		_ = unix.Close(fd)
		return 0, fmt.Errorf("have a packet socket take virtio headers: %w", err)
	}
	return fd, nil
}

// openMarked opens a socket as openFrames does, with a mark.
func openMarked(mark uint32) (int, error) {
	fd, err := openFrames()
	if err != nil {
		return 0, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(mark)); err != nil {
		_ = unix.Close(fd)
		return 0, fmt.Errorf("have a packet socket mark packets: %w", err)
	}
	return fd, nil
}

// openRaw opens a socket that receives nothing: packets of protocol 4 would be
// copied for a socket of that protocol.
func openRaw() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_RAW)
	if err != nil {
		return 0, fmt.Errorf("open a raw socket: %w", err)
	}
	return fd, nil
}

// ifreq is struct ifreq (linux/if.h).
type ifreq struct {
	name  [unix.IFNAMSIZ]byte
	union [24]byte
}

// ask asks the kernel about a device.
func ask(fd int, device string, what uintptr) (answer [24]byte, err error) {
	var request ifreq
	if len(device) == 0 || len(device) >= len(request.name) {
		return answer, fmt.Errorf("device %q: %w", device, unix.ENODEV)
	}
	copy(request.name[:], device)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), what, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return answer, fmt.Errorf("device %s: %w", device, errno)
	}
	return request.union, nil
}

// indexOf asks for a device's number. It changes when the device is made anew.
func indexOf(fd int, device string) (int, error) {
	answer, err := ask(fd, device, unix.SIOCGIFINDEX)
	return int(int32(binary.NativeEndian.Uint32(answer[:]))), err
}

// hardwareAddr asks for a device's Ethernet address.
func hardwareAddr(fd int, device string) (net.HardwareAddr, error) {
	answer, err := ask(fd, device, unix.SIOCGIFHWADDR)
	if err != nil {
		return nil, err
	}
	if kind := binary.NativeEndian.Uint16(answer[:]); kind != unix.ARPHRD_ETHER {
		return nil, fmt.Errorf("device %s: %w", device, ErrAddress)
	}
	return net.HardwareAddr(answer[2:8:8]), nil
}

// networkOrder is a number in network byte order, as packet sockets want it.
func networkOrder(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}

// Receive takes packets that come in by a device for an address, and may answer
// what a Sender has sent. It returns nil when ctx has ended, else why it could
// not go on: the device is gone, down, or made anew. Call it again then. take
// must not keep the packet. The packet also goes its usual way.
func Receive(ctx context.Context, device string, to netip.Addr, take func(packet []byte)) error {
	file, err := openAnswers(device, to)
	if err != nil {
		return err
	}
	defer file.Close()
	stop := context.AfterFunc(ctx, func() { _ = file.Close() })
	defer stop()
	buf := make([]byte, 1<<16)
	for {
		n, err := file.Read(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("receive answers from %s: %w", device, err)
		}
		take(buf[:n])
	}
}

// openAnswers opens a packet socket for what comes in by one device.
func openAnswers(device string, to netip.Addr) (*os.File, error) {
	if !to.Is4() {
		return nil, ErrPacket
	}
	// A socket for ETH_P_IP gets each packet together with the IP layer, which
	// then has to clone the packet, and to copy its headers to forward it. A
	// socket for all protocols gets it before, and has dropped it by then.
	file, err := openFiltered(device, received, append(untaggedIPv4(), answers(to)...))
	if err != nil {
		return nil, fmt.Errorf("receive answers from %s: %w", device, err)
	}
	return file, nil
}

// ways of packets that a socket sees.
type ways bool

const (
	received        ways = false
	receivedAndSent ways = true
)

// openFiltered opens a packet socket on one device, for packets of all
// protocols that the filter takes. It has its filter before it gets the first
// packet.
func openFiltered(device string, which ways, program []bpf.Instruction) (*os.File, error) {
	code, err := bpf.Assemble(program)
	if err != nil {
		return nil, err // not with a fixed program
	}
	filter := make([]unix.SockFilter, len(code))
	for i, c := range code {
		filter[i] = unix.SockFilter{Code: c.Op, Jt: c.Jt, Jf: c.Jf, K: c.K}
	}
	// SOCK_DGRAM: packets begin with the IP header, whatever the device is.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	index, err := indexOf(fd, device)
	if err == nil {
		err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	}
	if err == nil && which == received {
		// Linux 4.20. Without it each packet that is sent is cloned.
		err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: index})
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "packets of "+device), nil
}
