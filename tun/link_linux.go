// SPDX-License-Identifier: Apache-2.0

package tun

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// link is the kernel's description of one network interface.
type link struct {
	index      int
	kind       string // "tun" for TUN and TAP, "" for hardware and loopback
	layer3     bool   // TUN, not TAP
	packetInfo bool   // 4 bytes in front of every packet (no IFF_NO_PI)
	multiQueue bool
	queues     int // open descriptors, disabled queues included; only told of a multi-queue device
}

// isMultiQueueTUN reports whether queues can be attached with queueFlags.
func (l link) isMultiQueueTUN() bool {
	return l.kind == "tun" && l.layer3 && l.multiQueue && !l.packetInfo
}

// String completes "not a multi-queue TUN device, but ...".
func (l link) String() string {
	switch {
	case l.kind == "":
		return "a hardware or loopback interface"
	case l.kind != "tun":
		return "a " + l.kind + " interface"
	case !l.layer3:
		return "a TAP device"
	case !l.multiQueue:
		return "a TUN device with a single queue"
	default:
		return "a TUN device with packet information"
	}
}

// findLink asks the kernel about the interface of this name. The error is
// unix.ENODEV when there is none.
func findLink(name string) (link, error) {
	req := newRequest(unix.RTM_GETLINK, 0)
	req.message = append(req.message, make([]byte, unix.SizeofIfInfomsg)...)
	req.attribute(unix.IFLA_IFNAME, append([]byte(name), 0))
	reply, err := req.do()
	if err != nil {
		return link{}, err
	}
	l, err := parseLink(reply)
	if err != nil {
		return link{}, fmt.Errorf("netlink: %w", err)
	}
	return l, nil
}

var errMalformedLink = errors.New("malformed link message")

// parseLink reads an RTM_NEWLINK message without its netlink header.
func parseLink(msg []byte) (link, error) {
	if len(msg) < unix.SizeofIfInfomsg {
		return link{}, errMalformedLink
	}
	// struct ifinfomsg: family, pad, type (2), index (4), flags (4), change (4)
	l := link{index: int(int32(binary.NativeEndian.Uint32(msg[4:])))}
	attrs := msg[unix.SizeofIfInfomsg:]
	info, ok := findAttribute(attrs, unix.IFLA_LINKINFO)
	if !ok {
		return l, nil
	}
	kind, _ := findAttribute(info, unix.IFLA_INFO_KIND)
	l.kind = cString(kind)
	data, _ := findAttribute(info, unix.IFLA_INFO_DATA)
	if l.kind == "tun" {
		l.readTUN(data)
	}
	return l, nil
}

// readTUN reads the attributes of the TUN driver (linux/if_link.h, IFLA_TUN_*;
// 4.18).
func (l *link) readTUN(data []byte) {
	l.layer3 = byteAttribute(data, unix.IFLA_TUN_TYPE) == unix.IFF_TUN
	l.packetInfo = byteAttribute(data, unix.IFLA_TUN_PI) != 0
	l.multiQueue = byteAttribute(data, unix.IFLA_TUN_MULTI_QUEUE) != 0
	l.queues = wordAttribute(data, unix.IFLA_TUN_NUM_QUEUES) +
		wordAttribute(data, unix.IFLA_TUN_NUM_DISABLED_QUEUES)
}

// acceptLocal is IPV4_DEVCONF_ACCEPT_LOCAL, linux/ip.h.
const acceptLocal = 23

// setLink lets the interface accept packets that carry one of this host's own
// addresses as their source, and names it if alias is not empty.
//
// ICMP answers need the first: their source is the device's address, and
// without accept_local the kernel considers them forged and drops them. It is
// set over netlink, because /proc/sys is read-only in many containers and in a
// sandboxed unit.
func setLink(index int, alias string) error {
	req := newRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	info := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(info[4:], uint32(index))
	req.message = append(req.message, info...)
	if alias != "" {
		req.attribute(unix.IFLA_IFALIAS, []byte(alias))
	}
	req.nest(unix.IFLA_AF_SPEC, func() {
		req.nest(unix.AF_INET, func() {
			req.nest(unix.IFLA_INET_CONF, func() {
				req.attribute(acceptLocal, binary.NativeEndian.AppendUint32(nil, 1))
			})
		})
	})
	_, err := req.do()
	return err
}
