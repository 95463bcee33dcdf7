package encap

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// control is room for one control message with a number of up to 4 bytes
// (cmsg(3)): the length of a train's datagrams, on its way out (UDP_SEGMENT, 16
// bits) or in (UDP_GRO, an int).
type control struct {
	header unix.Cmsghdr
	data   [8]byte
}

// setSegmentSize makes message i a train.
func (v *vector) setSegmentSize(i, size int) {
	c := &v.controls[i]
	c.header.Level, c.header.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	c.header.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(c.data[:], uint16(size))
	v.headers[i].header.Control = (*byte)(unsafe.Pointer(c))
	v.headers[i].header.SetControllen(unix.CmsgSpace(2))
}

// expectSegmentSize makes room for the control message of message i.
func (v *vector) expectSegmentSize(i int) {
	h := &v.headers[i].header
	h.Control = (*byte)(unsafe.Pointer(&v.controls[i]))
	h.SetControllen(unix.CmsgSpace(4))
}

// segmentSize is what the kernel said about received message i: the length of
// its datagrams, or zero if it is one.
func (v *vector) segmentSize(i int) int {
	c := &v.controls[i]
	h := &v.headers[i]
	if h.header.Control == nil || int(h.header.Controllen) < unix.CmsgLen(4) ||
		c.header.Level != unix.SOL_UDP || c.header.Type != unix.UDP_GRO {
		return 0
	}
	size := int(int32(binary.NativeEndian.Uint32(c.data[:])))
	if size <= 0 || size >= int(h.length) {
		return 0
	}
	return size
}
