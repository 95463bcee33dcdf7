// SPDX-License-Identifier: Apache-2.0

package tun

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// The few rtnetlink messages that opening a device needs. Other packages set
// addresses and routes, so a netlink library would be too much here.

// request is a netlink message under construction.
type request struct {
	message []byte
}

// newRequest begins a message of the given type. flags are added to
// NLM_F_REQUEST.
func newRequest(typ, flags uint16) *request {
	// struct nlmsghdr: length (4), type (2), flags (2), sequence (4), port (4)
	m := make([]byte, unix.SizeofNlMsghdr, 256)
	binary.NativeEndian.PutUint16(m[4:], typ)
	binary.NativeEndian.PutUint16(m[6:], unix.NLM_F_REQUEST|flags)
	return &request{message: m}
}

// attribute appends one attribute (struct rtattr: length, type, payload, padded
// to 4 bytes; the length does not count the padding).
func (r *request) attribute(typ uint16, payload []byte) {
	r.nest(typ, func() { r.message = append(r.message, payload...) })
}

// nest appends an attribute. fill appends its payload.
func (r *request) nest(typ uint16, fill func()) {
	start := len(r.message)
	r.message = append(r.message, 0, 0, 0, 0)
	binary.NativeEndian.PutUint16(r.message[start+2:], typ)
	fill()
	binary.NativeEndian.PutUint16(r.message[start:], uint16(len(r.message)-start))
	for len(r.message)%unix.RTA_ALIGNTO != 0 {
		r.message = append(r.message, 0)
	}
}

// do sends the message from the calling thread's network namespace and returns
// the payload of the reply, or nil for a mere acknowledgement. If the kernel
// replies with an error, it returns the error number.
func (r *request) do() ([]byte, error) {
	binary.NativeEndian.PutUint32(r.message, uint32(len(r.message)))
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, r.message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	buf := make([]byte, 64<<10) // one reply; the kernel never sends more in one message
	n, err := receiveReply(fd, buf)
	if err != nil {
		return nil, err
	}
	return parseReply(buf[:n])
}

// receiveReply reads one message; signals do not end it.
func receiveReply(fd int, buf []byte) (int, error) {
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != unix.EINTR {
			return n, err
		}
	}
}

var errMalformedReply = errors.New("netlink: malformed reply")

// parseReply removes the netlink header from a reply.
func parseReply(msg []byte) ([]byte, error) {
	if len(msg) < unix.SizeofNlMsghdr {
		return nil, errMalformedReply
	}
	length := int(binary.NativeEndian.Uint32(msg))
	if length < unix.SizeofNlMsghdr || length > len(msg) {
		return nil, errMalformedReply
	}
	payload := msg[unix.SizeofNlMsghdr:length]
	if binary.NativeEndian.Uint16(msg[4:]) != unix.NLMSG_ERROR {
		return payload, nil
	}
	if len(payload) < 4 {
		return nil, errMalformedReply
	}
	if code := int32(binary.NativeEndian.Uint32(payload)); code != 0 {
		return nil, unix.Errno(-code)
	}
	return nil, nil
}

// findAttribute returns the payload of the first attribute of this type.
func findAttribute(attrs []byte, typ uint16) ([]byte, bool) {
	for len(attrs) >= unix.SizeofRtAttr {
		length := int(binary.NativeEndian.Uint16(attrs))
		if length < unix.SizeofRtAttr || length > len(attrs) {
			return nil, false
		}
		// The upper two bits say "nested" and "network byte order".
		if binary.NativeEndian.Uint16(attrs[2:])&0x3fff == typ {
			return attrs[unix.SizeofRtAttr:length], true
		}
		padded := (length + unix.RTA_ALIGNTO - 1) &^ (unix.RTA_ALIGNTO - 1)
		attrs = attrs[min(padded, len(attrs)):]
	}
	return nil, false
}

// byteAttribute is the value of a one-byte attribute, zero when it is missing.
func byteAttribute(attrs []byte, typ uint16) byte {
	if v, ok := findAttribute(attrs, typ); ok && len(v) >= 1 {
		return v[0]
	}
	return 0
}

// wordAttribute is the value of a four-byte attribute, zero when it is missing.
func wordAttribute(attrs []byte, typ uint16) int {
	if v, ok := findAttribute(attrs, typ); ok && len(v) >= 4 {
		return int(binary.NativeEndian.Uint32(v))
	}
	return 0
}

// cString is b up to its terminating zero.
func cString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
