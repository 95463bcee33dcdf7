// SPDX-License-Identifier: Apache-2.0

package tun

import (
	"testing"

	"golang.org/x/sys/unix"

	"flanneld/internal/packet"
)

// refuses are kernels that refuse superpackets of some protocols.
func refuses(protocols ...byte) func([]byte) unix.Errno {
	return func(frame []byte) unix.Errno {
		for _, p := range protocols {
			if frame[virtioLen+9] == p {
				return unix.EINVAL
			}
		}
		return unix.EIO
	}
}

func TestSuperpacketsThatTheKernelRefusesAreNotWritten(t *testing.T) {
	all := Offloads{Checksum: true, TCP: true, UDP: true}
	for _, c := range []struct {
		name       string
		want, have Offloads
		write      func([]byte) unix.Errno
	}{
		{"takes all", all, all, refuses()},
		{"refuses TCP", all, Offloads{Checksum: true, UDP: true}, refuses(packet.TCP)},
		{"refuses UDP", all, Offloads{Checksum: true, TCP: true}, refuses(packet.UDP)},
		{"refuses both", all, Offloads{Checksum: true}, refuses(packet.TCP, packet.UDP)},
		{"not wanted", Offloads{Checksum: true, UDP: true}, Offloads{Checksum: true, UDP: true}, refuses(packet.TCP)},
		{"refuses unequal segments", all, Offloads{Checksum: true}, func(frame []byte) unix.Errno {
			if (len(frame)-virtioLen-int(parseVirtio(frame).headerLen))%int(parseVirtio(frame).segmentSize) != 0 {
				return unix.EINVAL
			}
			return unix.EIO
		}},
		{"does not tell", all, all, func([]byte) unix.Errno { return unix.ENOMEM }},
	} {
		if got := tryWrites(c.want, c.write); got != c.have {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.have)
		}
	}
}

// The probe's frames must be correct, or their refusal means nothing.
func TestProbeFramesAreSuperpackets(t *testing.T) {
	for _, protocol := range []byte{packet.TCP, packet.UDP} {
		for shorter := range 2 {
			frame := probeFrame(protocol, shorter)
			h, packet := parseVirtio(frame), frame[virtioLen:]
			s, ok := NewSegmenter(Packet{Data: packet, SegmentSize: int(h.segmentSize)})
			if !ok || !h.matches(packet) || s.Segments() != 3 || int(h.headerLen) != s.HeaderLen() {
				t.Fatalf("protocol %d: no superpacket of 3 segments: %x", protocol, frame)
			}
			for i, segment := range cut(s) {
				if !slowValid(segment) {
					t.Errorf("protocol %d: segment %d: %x", protocol, i, segment)
				}
			}
		}
	}
}
