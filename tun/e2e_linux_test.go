// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package tun

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// These tests open real devices, each in a network namespace of its own. They
// need root.

// isolate moves the test's goroutine to a thread with its own network
// namespace. The goroutine stays locked to it, so both end with the test.
func isolate(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("unshare the network namespace (needs root): %v", err)
	}
}

// openDevice opens a device that is closed when the test ends.
func openDevice(t *testing.T, cfg Config) *Device {
	t.Helper()
	d, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// ifreq does one ioctl on an interface.
func ifreq(t *testing.T, name string, op uint, set func(*unix.Ifreq)) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	set(req)
	if err := unix.IoctlIfreq(fd, op, req); err != nil {
		t.Fatal(err)
	}
}

// configure gives the device 10.244.1.0/16 and brings it up.
func configure(t *testing.T, name string) {
	t.Helper()
	ifreq(t, name, unix.SIOCSIFADDR, func(r *unix.Ifreq) { r.SetInet4Addr([]byte{10, 244, 1, 0}) })
	ifreq(t, name, unix.SIOCSIFNETMASK, func(r *unix.Ifreq) { r.SetInet4Addr([]byte{255, 255, 0, 0}) })
	ifreq(t, name, unix.SIOCSIFFLAGS, func(r *unix.Ifreq) { r.SetUint16(unix.IFF_UP) })
}

// udpSocket opens a socket of the test's namespace, bound to 10.244.1.0.
func udpSocket(t *testing.T, port int) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{10, 244, 1, 0}, Port: port}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// readUDP reads from the queues until there is a packet to the port; the kernel
// sends some packets of its own.
func readUDP(t *testing.T, q *Queue, port uint16) []byte {
	t.Helper()
	b := NewBatch(8, 1500, 64<<10)
	for {
		n, err := readSome(q, b)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range b.Packets[:n] {
			if d := p.Data; len(d) >= 28 && d[0] == 0x45 && d[9] == unix.IPPROTO_UDP && binary.BigEndian.Uint16(d[22:]) == port {
				return slices.Clone(d)
			}
		}
	}
}

// udpPacket is an IPv4 packet that carries text, without a UDP checksum.
func udpPacket(src, dst netip.Addr, port uint16, text string) []byte {
	p := make([]byte, 28+len(text))
	p[0], p[8], p[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	copy(p[12:], src.AsSlice())
	copy(p[16:], dst.AsSlice())
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(p[10:], ^uint16(sum))
	binary.BigEndian.PutUint16(p[20:], 1000)
	binary.BigEndian.PutUint16(p[22:], port)
	binary.BigEndian.PutUint16(p[24:], uint16(8+len(text)))
	copy(p[28:], text)
	return p
}

// receiveText receives one datagram.
func receiveText(t *testing.T, fd int) string {
	t.Helper()
	buf := make([]byte, 1500)
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

// deleteDevice does what "ip link delete" does.
func deleteDevice(t *testing.T, index int) {
	t.Helper()
	req := newRequest(unix.RTM_DELLINK, unix.NLM_F_ACK)
	info := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(info[4:], uint32(index))
	req.message = append(req.message, info...)
	if _, err := req.do(); err != nil {
		t.Fatal(err)
	}
}

func TestDeviceStaysAndIsTakenOver(t *testing.T) {
	isolate(t)
	before := openDescriptors(t)
	first := openDevice(t, Config{Name: "flannel0", Alias: "first"})
	if !first.Created() || first.Name() != "flannel0" {
		t.Errorf("device %q, created %v; want flannel0, created", first.Name(), first.Created())
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors open after Close, %d before", after, before)
	}
	second := openDevice(t, Config{Name: "flannel0", Queues: 3, Alias: "second"})
	if second.Created() || second.Index() != first.Index() {
		t.Errorf("created %v, index %d; want the device of before, index %d", second.Created(), second.Index(), first.Index())
	}
	if got := len(second.Queues()); got != 3 {
		t.Errorf("%d queues, want 3", got)
	}
	if got := alias(t, "flannel0"); got != "first" {
		t.Errorf("alias %q, want that of the creator, %q", got, "first")
	}
}

// A process that is killed while it makes a device must not leave an unknown
// one. As long as the device has no alias, it disappears with its maker. The
// test watches from another process, again and again.
func TestDeviceIsNeverPersistentWithoutItsAlias(t *testing.T) {
	isolate(t)
	namespace, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(namespace)
	stop, seen := make(chan struct{}), make(chan [2]int)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if err := unix.Setns(namespace, unix.CLONE_NEWNET); err != nil {
			t.Error(err)
		}
		looks, nameless := 0, 0
		for {
			select {
			case <-stop:
				seen <- [2]int{looks, nameless}
				return
			default:
			}
			attrs, err := attributes("flannel0")
			if err != nil {
				continue // there is none
			}
			looks++
			info, _ := findAttribute(attrs, unix.IFLA_LINKINFO)
			data, _ := findAttribute(info, unix.IFLA_INFO_DATA)
			if alias, _ := findAttribute(attrs, unix.IFLA_IFALIAS); len(alias) == 0 && byteAttribute(data, unix.IFLA_TUN_PERSIST) != 0 {
				nameless++
			}
		}
	}()
	for range 50 {
		d := openDevice(t, Config{Name: "flannel0", Alias: "flanneld"})
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		deleteDevice(t, d.Index())
	}
	close(stop)
	if n := <-seen; n[0] == 0 || n[1] > 0 {
		t.Errorf("of %d looks, %d at a device that was persistent and had no alias", n[0], n[1])
	}
}

// attributes are the kernel's attributes of an interface.
func attributes(name string) ([]byte, error) {
	req := newRequest(unix.RTM_GETLINK, 0)
	req.message = append(req.message, make([]byte, unix.SizeofIfInfomsg)...)
	req.attribute(unix.IFLA_IFNAME, append([]byte(name), 0))
	reply, err := req.do()
	if err != nil {
		return nil, err
	}
	return reply[unix.SizeofIfInfomsg:], nil
}

// alias is the interface's alias.
func alias(t *testing.T, name string) string {
	t.Helper()
	attrs, err := attributes(name)
	if err != nil {
		t.Fatal(err)
	}
	v, _ := findAttribute(attrs, unix.IFLA_IFALIAS)
	return cString(v)
}

func TestDeviceInUseIsBusy(t *testing.T) {
	isolate(t)
	openDevice(t, Config{Name: "flannel0"})
	before := openDescriptors(t)
	if _, err := Open(Config{Name: "flannel0"}); !errors.Is(err, ErrBusy) {
		t.Errorf("error %v, want %v", err, ErrBusy)
	}
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors open, %d before", after, before)
	}
}

func TestForeignDevicesAreRefused(t *testing.T) {
	isolate(t)
	for name, flags := range map[string]uint16{
		"tap":    unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_MULTI_QUEUE,
		"single": unix.IFF_TUN | unix.IFF_NO_PI,
		"info":   unix.IFF_TUN | unix.IFF_MULTI_QUEUE,
	} {
		fd, err := unix.Open(clonePath, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		req, err := unix.NewIfreq(name)
		if err != nil {
			t.Fatal(err)
		}
		req.SetUint16(flags)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
			t.Fatal(err)
		}
	}
	before := openDescriptors(t)
	for _, name := range []string{"lo", "tap", "single", "info"} {
		if _, err := Open(Config{Name: name}); !errors.Is(err, ErrForeign) {
			t.Errorf("%s: error %v, want %v", name, err, ErrForeign)
		}
	}
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors open, %d before", after, before)
	}
}

func TestOpenThatFailsLeavesNoDevice(t *testing.T) {
	isolate(t)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) })
	// Enough attempts that every step of Open runs out of descriptors once.
	const queues = 4
	for spare := range uint64(2*queues + 2) {
		before := openDescriptors(t)
		tight := unix.Rlimit{Cur: uint64(before) + spare - 1, Max: limit.Max}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &tight); err != nil {
			t.Fatal(err)
		}
		d, openErr := Open(Config{Name: "flannel0", Queues: queues})
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		if openErr == nil {
			d.Close()
			return
		}
		if !errors.Is(openErr, unix.EMFILE) {
			t.Errorf("%d spare descriptors: error %v, want %v", spare, openErr, unix.EMFILE)
		}
		if _, err := findLink("flannel0"); err != unix.ENODEV {
			t.Errorf("%d spare descriptors: the device is there (%v)", spare, err)
		}
		if after := openDescriptors(t); after != before {
			t.Errorf("%d spare descriptors: %d open, %d before", spare, after, before)
		}
	}
	t.Error("Open never succeeded")
}

func TestPacketsGoBothWays(t *testing.T) {
	isolate(t)
	d := openDevice(t, Config{Name: "flannel0"})
	configure(t, "flannel0")
	q := d.Queues()[0]

	fd := udpSocket(t, 2000)
	if err := unix.Sendto(fd, []byte("out"), 0, &unix.SockaddrInet4{Addr: [4]byte{10, 244, 2, 5}, Port: 3000}); err != nil {
		t.Fatal(err)
	}
	if p := readUDP(t, q, 3000); string(p[28:]) != "out" || [4]byte(p[16:20]) != [4]byte{10, 244, 2, 5} {
		t.Errorf("read packet %x", p)
	}
	in := udpPacket(netip.MustParseAddr("10.244.2.5"), netip.MustParseAddr("10.244.1.0"), 2000, "in")
	if err := q.Write(in); err != nil {
		t.Fatal(err)
	}
	if got := receiveText(t, fd); got != "in" {
		t.Errorf("received %q, want %q", got, "in")
	}
}

// ICMP answers carry the device's own address. Without accept_local the kernel
// would drop them unseen.
func TestPacketsFromTheDevicesOwnAddressAreAccepted(t *testing.T) {
	isolate(t)
	d := openDevice(t, Config{Name: "flannel0"})
	configure(t, "flannel0")
	ifreq(t, "lo", unix.SIOCSIFFLAGS, func(r *unix.Ifreq) { r.SetUint16(unix.IFF_UP) })
	fd := udpSocket(t, 2000)
	own := netip.MustParseAddr("10.244.1.0")
	if err := d.Queues()[0].Write(udpPacket(own, own, 2000, "answer")); err != nil {
		t.Fatal(err)
	}
	timeout := unix.Timeval{Sec: 5}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		t.Fatal(err)
	}
	if got := receiveText(t, fd); got != "answer" {
		t.Errorf("received %q, want %q", got, "answer")
	}
}

func TestFlowsSpreadOverQueues(t *testing.T) {
	isolate(t)
	d := openDevice(t, Config{Name: "flannel0", Queues: 2})
	configure(t, "flannel0")
	seen := make(chan int)
	for i, q := range d.Queues() {
		go func() {
			b := NewBatch(8, 1500, 64<<10)
			for {
				if _, err := readSome(q, b); err != nil {
					return
				}
				select {
				case seen <- i:
				case <-t.Context().Done():
				}
			}
		}()
	}
	fd := udpSocket(t, 2000)
	both := map[int]bool{}
	for port := 3000; len(both) < 2; port++ {
		if port == 3500 {
			t.Fatal("500 flows went to one queue")
		}
		if err := unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrInet4{Addr: [4]byte{10, 244, 2, 5}, Port: port}); err != nil {
			t.Fatal(err)
		}
		both[<-seen] = true
	}
}

// The express lane relies on this: the kernel gives a flow's packets to the
// queue through which the flow's answers were last written.
func TestFlowLeavesByTheQueueOfItsAnswers(t *testing.T) {
	isolate(t)
	d := openDevice(t, Config{Name: "flannel0", Queues: 2})
	configure(t, "flannel0")
	fd := udpSocket(t, 2000)
	own, peer := netip.MustParseAddr("10.244.1.0"), netip.MustParseAddr("10.244.2.5")
	batches := []*Batch{NewBatch(8, 1500, 64<<10), NewBatch(8, 1500, 64<<10)}
	for i := range 20 {
		want := i % 2
		if err := d.Queues()[want].Write(udpPacket(peer, own, 2000, "answer")); err != nil {
			t.Fatal(err)
		}
		if err := unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrInet4{Addr: peer.As4(), Port: 1000}); err != nil {
			t.Fatal(err)
		}
		for queue, b := range batches {
			read, err := d.Queues()[queue].Read(b)
			n := 0
			for _, p := range b.Packets[:read] { // the kernel sends some of its own accord
				if p.Data[0] == 0x45 && [4]byte(p.Data[16:20]) == peer.As4() {
					n++
				}
			}
			if err != nil || (n > 0) != (queue == want) {
				t.Errorf("answer written through queue %d: %d packets in queue %d, %v", want, n, queue, err)
			}
		}
	}
}

func TestCloseWakesAReadOnADevice(t *testing.T) {
	isolate(t)
	d := openDevice(t, Config{Name: "flannel0"})
	failed := make(chan error)
	go func() {
		_, err := readSome(d.Queues()[0], NewBatch(1, 1500, 64<<10))
		failed <- err
	}()
	if err := d.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-failed; err != fs.ErrClosed {
		t.Errorf("Read: %v, want %v", err, fs.ErrClosed)
	}
}

func TestDeletedDeviceIsGone(t *testing.T) {
	isolate(t)
	d := openDevice(t, Config{Name: "flannel0"})
	configure(t, "flannel0")
	q := d.Queues()[0]
	failed := make(chan error)
	go func() {
		b := NewBatch(8, 1500, 64<<10)
		for {
			if _, err := readSome(q, b); err != nil {
				failed <- err
				return
			}
		}
	}()
	deleteDevice(t, d.Index())
	if err := <-failed; err != ErrDeviceGone {
		t.Errorf("Read: %v, want %v", err, ErrDeviceGone)
	}
	if err := q.Write(udpPacket(netip.MustParseAddr("10.244.2.5"), netip.MustParseAddr("10.244.1.0"), 1, "")); err != ErrDeviceGone {
		t.Errorf("Write: %v, want %v", err, ErrDeviceGone)
	}
}

func TestDeviceThatIsDownTakesNoPackets(t *testing.T) {
	isolate(t)
	d := openDevice(t, Config{Name: "flannel0"})
	packet := udpPacket(netip.MustParseAddr("10.244.2.5"), netip.MustParseAddr("10.244.1.0"), 1, "")
	if err := d.Queues()[0].Write(packet); err != ErrDeviceDown {
		t.Errorf("Write: %v, want %v", err, ErrDeviceDown)
	}
	configure(t, "flannel0")
	if err := d.Queues()[0].Write(packet); err != nil {
		t.Errorf("Write once it is up: %v", err)
	}
}

func TestQueuesAreClosedOnExec(t *testing.T) {
	isolate(t)
	d := openDevice(t, Config{Name: "flannel0", Queues: 2})
	for i, q := range d.Queues() {
		flags, err := unix.FcntlInt(uintptr(q.descriptor.FD()), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("queue %d: flags %#x, error %v; want close-on-exec", i, flags, err)
		}
	}
}

func TestMissingRightsAreSaid(t *testing.T) {
	isolate(t)
	existing := openDevice(t, Config{Name: "flannel1"})
	if err := existing.Close(); err != nil {
		t.Fatal(err)
	}
	dropNetAdmin(t)
	before := openDescriptors(t)
	for _, name := range []string{"flannel0", "flannel1"} { // to create, to take over
		if _, err := Open(Config{Name: name}); !errors.Is(err, ErrPermission) {
			t.Errorf("%s: error %v, want %v", name, err, ErrPermission)
		}
	}
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors open, %d before", after, before)
	}
}

// dropNetAdmin takes CAP_NET_ADMIN from this thread, which ends with the test.
func dropNetAdmin(t *testing.T) {
	t.Helper()
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		t.Fatal(err)
	}
	data[0].Effective &^= 1 << unix.CAP_NET_ADMIN
	if err := unix.Capset(&hdr, &data[0]); err != nil {
		t.Fatal(err)
	}
}

func TestErrorsNameTheDevice(t *testing.T) {
	isolate(t)
	_, err := Open(Config{Name: "lo"})
	want := "tun: open device lo: not a multi-queue TUN device, but a hardware or loopback interface: choose another device name or delete it"
	if got := fmt.Sprint(err); got != want {
		t.Errorf("error %q, want %q", got, want)
	}
}
