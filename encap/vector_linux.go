// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of sendmmsg(2) and recvmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	length uint32
}

// vector is the memory that one sendmmsg or recvmmsg describes its messages in:
//
//	headers[i] -> names[i]           the address
//	           -> controls[i]        a train's datagrams' length, the type of service
//	           -> iovecs[j:j+n]      -> the caller's buffers
//
// All of these are typed pointers, so everything that the kernel reads or
// writes is reachable for the garbage collector as long as the vector is. A
// vector belongs to one goroutine; it keeps the buffers of its last load alive
// until the next.
type vector struct {
	headers  []mmsghdr
	names    []unix.RawSockaddrInet4
	controls []control
	iovecs   []unix.Iovec

	n, used int // of headers and of iovecs
}

// newVector makes room for n messages of two buffers each: a header and a
// payload. load makes more room when it needs more, twice the need.
func newVector(n int) vector {
	return vector{
		headers:  make([]mmsghdr, n),
		names:    make([]unix.RawSockaddrInet4, n),
		controls: make([]control, n),
		iovecs:   make([]unix.Iovec, 2*n),
	}
}

// load describes room for msgs, which must not be more than there are headers.
func (v *vector) load(msgs []Message) {
	v.begin(msgs)
	for i := range msgs {
		v.add(msgs[i].Buffers)
	}
}

// addOut describes one more message to send, all of it but its source, and
// returns which it is.
func (v *vector) addOut(m *Message) int {
	i := v.add(m.Buffers)
	v.setName(i, m.Addr)
	if m.SegmentSize > 0 {
		v.setSegmentSize(i, m.SegmentSize)
	}
	if m.TOS != 0 {
		v.setTOS(i, m.TOS)
	}
	return i
}

// add describes the buffers of one more message, and returns which it is.
func (v *vector) add(buffers [][]byte) int {
	first := v.used
	for _, b := range buffers {
		if len(b) > 0 {
			v.iovecs[v.used].Base = &b[0]
			v.iovecs[v.used].SetLen(len(b))
			v.used++
		}
	}
	v.describe(v.n, v.iovecs[first:v.used])
	v.n++
	return v.n - 1
}

// begin forgets what was described, and makes room for the buffers of msgs. It
// must come before pointers to iovecs are taken.
func (v *vector) begin(msgs []Message) {
	v.n, v.used = 0, 0
	need := 0
	for i := range msgs {
		need += len(msgs[i].Buffers)
	}
	if need > len(v.iovecs) {
		v.iovecs = make([]unix.Iovec, 2*need)
	}
}

// describe writes header i anew; the kernel changes some of its fields on
// receipt.
func (v *vector) describe(i int, iovecs []unix.Iovec) {
	v.headers[i] = mmsghdr{}
	h := &v.headers[i].header
	h.Name = (*byte)(unsafe.Pointer(&v.names[i]))
	h.Namelen = unix.SizeofSockaddrInet4
	if len(iovecs) > 0 {
		h.Iov = &iovecs[0]
		h.SetIovlen(len(iovecs))
	}
}

// setName makes message i go to addr. An address that is not IPv4 gets a family
// that the kernel refuses for this message alone.
func (v *vector) setName(i int, addr netip.AddrPort) {
	name := &v.names[i]
	if ip := addr.Addr().Unmap(); ip.Is4() {
		name.Family = unix.AF_INET
		name.Addr = ip.As4()
	} else {
		name.Family = unix.AF_INET6
	}
	binary.BigEndian.PutUint16(portBytes(name), addr.Port())
}

// name is the address that message i came from.
func (v *vector) name(i int) netip.AddrPort {
	name := &v.names[i]
	return netip.AddrPortFrom(netip.AddrFrom4(name.Addr), binary.BigEndian.Uint16(portBytes(name)))
}

// portBytes is the port, which is in network byte order.
func portBytes(name *unix.RawSockaddrInet4) []byte {
	return (*[2]byte)(unsafe.Pointer(&name.Port))[:]
}

// send gives the kernel the messages from from to to, and returns how many it
// took. The error number is that of the first message, if none was taken.
func (v *vector) send(fd, from, to int) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd),
		uintptr(unsafe.Pointer(&v.headers[from])), uintptr(to-from), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// receive takes up to n messages from the kernel.
func (v *vector) receive(fd, n int) (int, unix.Errno) {
	got, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd),
		uintptr(unsafe.Pointer(&v.headers[0])), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
	return int(got), errno
}
