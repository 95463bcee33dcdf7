// SPDX-License-Identifier: Apache-2.0

package packetsocket

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"
)

var (
	macA = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	macB = net.HardwareAddr{2, 0, 0, 0, 0, 2}
	here = netip.MustParseAddr("10.244.1.0")
)

// tcp is a TCP segment with a payload.
func tcp(payload int) []byte {
	b := make([]byte, ipHeaderLen+tcpHeaderLen+payload)
	b[0], b[9] = 0x45, protocolTCP
	b[ipHeaderLen+12] = tcpHeaderLen / 4 << 4
	return b
}

// A device without a header gets the same, with no room for one.
func TestBarePacketsHaveNoHeaderOfTheDevice(t *testing.T) {
	for _, o := range []Offload{{}, {Checksum: true}, {Checksum: true, Segment: 1410}} {
		packet := tcp(2900)
		framed, err := frame(macB, macA, packet, o)
		if err != nil {
			t.Fatal(err)
		}
		b, err := bare(packet, o)
		if err != nil || !bytes.Equal(b[virtioLen:], packet) || !bytes.Equal(b[:2], framed[:2]) {
			t.Errorf("%+v: % x, %v", o, b[:virtioLen], err)
		}
		for at, moved := range map[int]bool{2: o.Segment > 0, 4: false, 6: o.Checksum, 8: false} {
			want := binary.NativeEndian.Uint16(framed[at:])
			if moved {
				want -= ethernetLen
			}
			if got := binary.NativeEndian.Uint16(b[at:]); got != want {
				t.Errorf("%+v: %d at %d, want %d", o, got, at, want)
			}
		}
	}
	if _, err := bare(make([]byte, ipHeaderLen), Offload{}); !errors.Is(err, ErrPacket) {
		t.Errorf("no packet: %v", err)
	}
}

func changed(b []byte, at int, to byte) []byte {
	b = bytes.Clone(b)
	b[at] = to
	return b
}

func TestFramesSayWhatIsLeftToTheDevice(t *testing.T) {
	for _, c := range []struct {
		name                             string
		payload                          int
		o                                Offload
		flags, kind                      byte
		headers, segment, start, checked uint16
	}{
		{"nothing", 100, Offload{}, 0, 0, 0, 0, 0, 0},
		{"the checksum", 100, Offload{Checksum: true}, 1, 0, 0, 0, 34, 16},
		{"segmentation", 2900, Offload{Checksum: true, Segment: 1410}, 1, 1, 54, 1410, 34, 16},
		{"segmentation of one segment", 1410, Offload{Checksum: true, Segment: 1410}, 1, 0, 0, 0, 34, 16},
	} {
		b, err := frame(macB, macA, tcp(c.payload), c.o)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		number := func(at int) uint16 { return binary.NativeEndian.Uint16(b[at:]) }
		if b[0] != c.flags || b[1] != c.kind || number(2) != c.headers || number(4) != c.segment || number(6) != c.start || number(8) != c.checked {
			t.Errorf("%s: virtio header % x", c.name, b[:virtioLen])
		}
		ethernet := b[virtioLen:]
		if !bytes.Equal(ethernet[:6], macB) || !bytes.Equal(ethernet[6:12], macA) || !bytes.Equal(ethernet[12:14], []byte{8, 0}) {
			t.Errorf("%s: Ethernet header % x", c.name, ethernet[:ethernetLen])
		}
		if !bytes.Equal(ethernet[ethernetLen:], tcp(c.payload)) {
			t.Errorf("%s: another packet", c.name)
		}
	}
}

func TestWhatIsNoPacketOrAddressIsRefused(t *testing.T) {
	sum := Offload{Checksum: true}
	for name, c := range map[string]struct {
		to     net.HardwareAddr
		packet []byte
		o      Offload
		want   error
	}{
		"no address":                    {nil, tcp(1), Offload{}, ErrAddress},
		"a long address":                {make(net.HardwareAddr, 20), tcp(1), Offload{}, ErrAddress},
		"a group":                       {net.HardwareAddr{1, 0, 0x5e, 0, 0, 1}, tcp(1), Offload{}, ErrAddress},
		"no packet":                     {macB, nil, Offload{}, ErrPacket},
		"IPv6":                          {macB, changed(tcp(1), 0, 0x65), Offload{}, ErrPacket},
		"the checksum of UDP":           {macB, changed(tcp(1), 9, 17), sum, ErrPacket},
		"segments without the checksum": {macB, tcp(100), Offload{Segment: 10}, ErrPacket},
		"a cut header":                  {macB, tcp(1)[:39], sum, ErrPacket},
		"a short IP header":             {macB, changed(tcp(1), 0, 0x44), sum, ErrPacket},
		"a short TCP header":            {macB, changed(tcp(1), ipHeaderLen+12, 0x40), sum, ErrPacket},
		"a long TCP header":             {macB, changed(tcp(1), ipHeaderLen+12, 0xf0), sum, ErrPacket},
	} {
		if _, err := frame(c.to, macA, c.packet, c.o); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := frame(macB, nil, tcp(1), Offload{}); !errors.Is(err, ErrAddress) {
		t.Errorf("a device without address: %v", err)
	}
}

func TestIPIPHasTwoHeaders(t *testing.T) {
	from, to := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	inner := changed(tcp(60), 1, 0xb8)
	b, err := wrapped(from, to, inner)
	if err != nil {
		t.Fatal(err)
	}
	want := []byte{0x45, 0xb8, 0, 120, 0, 0, 0, 0, 64, protocolIPIP, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2}
	if !bytes.Equal(b[:ipHeaderLen], want) || !bytes.Equal(b[ipHeaderLen:], inner) {
		t.Errorf("got % x", b[:ipHeaderLen])
	}
	for name, c := range map[string]struct {
		from, to netip.Addr
		packet   []byte
	}{
		"IPv6":      {netip.MustParseAddr("2001:db8::1"), to, inner},
		"nowhere":   {from, netip.Addr{}, inner},
		"no packet": {from, to, nil},
		"too long":  {from, to, make([]byte, 65516)},
	} {
		if _, err := wrapped(c.from, c.to, c.packet); !errors.Is(err, ErrPacket) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever a packet is, its frame is in one piece, or refused.
func FuzzFrame(f *testing.F) {
	f.Add(tcp(100), true, 50)
	f.Add([]byte{}, false, 0)
	f.Fuzz(func(t *testing.T, packet []byte, checksum bool, segment int) {
		b, err := frame(macB, macA, packet, Offload{Checksum: checksum, Segment: segment & 0xffff})
		if err != nil {
			return
		}
		if !bytes.Equal(b[virtioLen+ethernetLen:], packet) {
			t.Fatal("another packet")
		}
		start, offset := binary.NativeEndian.Uint16(b[6:]), binary.NativeEndian.Uint16(b[8:])
		if b[0] != 0 && int(start)+int(offset)+2 > ethernetLen+len(packet) {
			t.Fatalf("a checksum behind the packet: %d + %d of %d", start, offset, len(packet))
		}
	})
}
