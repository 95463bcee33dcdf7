// SPDX-License-Identifier: Apache-2.0

package tun

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"flanneld/internal/packet"
)

// probeName is the name of the probe's device; the kernel replaces %d with a
// free number.
const probeName = "flprobe%d"

// probeWrites removes from o the superpackets that the kernel refuses when they
// are written. Some stable kernels refuse them if the last segment is short
// (since Linux e269d79c7d35, until 89add40066f9). WriteRun detects that, too.
// But status should show it before the first packet comes, and no packet should
// be the probe.
//
// The probe has a device of its own for its duration, which is never up. Writes
// there are checked and then dropped, with EIO: no network stack, counter or
// capture sees them. If there can be no such device, o stays as it is.
func probeWrites(o Offloads) Offloads {
	if !o.TCP && !o.UDP {
		return o
	}
	fd, err := openProbe()
	if err != nil {
		return o
	}
	defer unix.Close(fd) // and with it goes the device
	return tryWrites(o, func(frame []byte) unix.Errno { return rawWrite(fd, frame) })
}

// openProbe makes the device.
func openProbe() (int, error) {
	req, err := unix.NewIfreq(probeName)
	if err != nil {
		return -1, err
	}
	fds, err := openClones(1)
	if err != nil {
		return -1, err
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fds[0], unix.TUNSETIFF, req); err != nil {
		closeAll(fds)
		return -1, err
	}
	return fds[0], nil
}

// tryWrites is probeWrites without the device. Only EINVAL is a refusal.
func tryWrites(o Offloads, write func(frame []byte) unix.Errno) Offloads {
	takes := func(protocol byte) bool {
		return write(probeFrame(protocol, 0)) != unix.EINVAL && write(probeFrame(protocol, 1)) != unix.EINVAL
	}
	o.TCP = o.TCP && takes(packet.TCP)
	o.UDP = o.UDP && takes(packet.UDP)
	return o
}

// probeFrame is a small superpacket behind its virtio header: three segments,
// the last one shorter by some bytes. Its addresses are documentation addresses
// (RFC 5737).
func probeFrame(protocol byte, shorter int) []byte {
	const segments, size = 3, 64
	headers := packet.HeaderLen + packet.TCPHeaderLen
	if protocol == packet.UDP {
		headers = packet.HeaderLen + packet.UDPHeaderLen
	}
	frame := make([]byte, virtioLen+headers+segments*size-shorter)
	p := frame[virtioLen:]
	packet.Header{
		TTL: 64, Protocol: protocol,
		Source: netip.AddrFrom4([4]byte{192, 0, 2, 1}), Destination: netip.AddrFrom4([4]byte{192, 0, 2, 2}),
	}.Put(p)
	transport, at := p[packet.HeaderLen:], udpChecksum
	if protocol == packet.TCP {
		transport[12], transport[tcpFlags], at = packet.TCPHeaderLen/4<<4, flagACK, tcpChecksum
	} else {
		binary.BigEndian.PutUint16(transport[udpLength:], uint16(len(transport)))
	}
	binary.BigEndian.PutUint16(transport[at:], packet.PseudoHeader(p, len(transport)).Fold())
	superpacketHeader(packet.Layout{IP: packet.HeaderLen, Headers: headers, Protocol: protocol}, size).put(frame)
	return frame
}
