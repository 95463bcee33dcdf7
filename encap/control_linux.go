// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// control is room for the two control messages (cmsg(3)) of a message, each
// with a number of up to 4 bytes. One is the length of a train's datagrams, on
// its way out (UDP_SEGMENT, 16 bits) or in (UDP_GRO, an int). The other is the
// outer type of service (IP_TOS, an int on its way out and a byte on its way
// in).
type control [8]uint64 // aligned as a cmsghdr has to be

// controlSpace is what one control message takes, whichever of these it is.
var controlSpace = unix.CmsgSpace(4)

// part is control message n, and its data.
func (c *control) part(n int) (*unix.Cmsghdr, *[4]byte) {
	at := unsafe.Add(unsafe.Pointer(c), n*controlSpace)
	return (*unix.Cmsghdr)(at), (*[4]byte)(unsafe.Add(at, unix.CmsgLen(0)))
}

// addControl gives message i one more control message of length bytes.
func (v *vector) addControl(i int, level, typ int32, length int) *[4]byte {
	h := &v.headers[i].header
	n := int(h.Controllen) / controlSpace
	c, data := v.controls[i].part(n)
	c.Level, c.Type = level, typ
	c.SetLen(unix.CmsgLen(length))
	h.Control = (*byte)(unsafe.Pointer(&v.controls[i]))
	h.SetControllen((n + 1) * controlSpace)
	return data
}

// setSegmentSize makes message i a train.
func (v *vector) setSegmentSize(i, size int) {
	data := v.addControl(i, unix.SOL_UDP, unix.UDP_SEGMENT, 2)
	binary.NativeEndian.PutUint16(data[:], uint16(size))
}

// setTOS sets the outer type of service of message i.
func (v *vector) setTOS(i int, tos byte) {
	data := v.addControl(i, unix.IPPROTO_IP, unix.IP_TOS, 4)
	binary.NativeEndian.PutUint32(data[:], uint32(tos))
}

// expectControl makes room for the control messages of message i.
func (v *vector) expectControl(i int) {
	h := &v.headers[i].header
	h.Control = (*byte)(unsafe.Pointer(&v.controls[i]))
	h.SetControllen(2 * controlSpace)
}

// said is what the kernel reported about received message i: the length of its
// datagrams, or zero for a single one, and its outer type of service.
func (v *vector) said(i int) (segmentSize int, tos byte) {
	h := &v.headers[i]
	for n := 0; n*controlSpace+unix.CmsgLen(1) <= int(h.header.Controllen); n++ {
		switch c, data := v.controls[i].part(n); {
		case c.Level == unix.SOL_UDP && c.Type == unix.UDP_GRO:
			segmentSize = int(int32(binary.NativeEndian.Uint32(data[:])))
		case c.Level == unix.IPPROTO_IP && c.Type == unix.IP_TOS:
			tos = data[0]
		}
	}
	if segmentSize <= 0 || segmentSize >= int(h.length) {
		segmentSize = 0
	}
	return segmentSize, tos
}
