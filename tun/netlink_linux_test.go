// SPDX-License-Identifier: Apache-2.0

package tun

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func TestLoopbackIsNoTUN(t *testing.T) {
	l, err := findLink("lo")
	if err != nil {
		t.Fatal(err)
	}
	if l.index == 0 || l.isMultiQueueTUN() || l.String() != "a hardware or loopback interface" {
		t.Errorf("lo is %+v, %s", l, l)
	}
}

func TestMissingLinkIsNoDevice(t *testing.T) {
	if _, err := findLink("no-such-device"); err != unix.ENODEV {
		t.Errorf("error %v, want %v", err, unix.ENODEV)
	}
}

// tunLink is the kernel's message about a TUN device.
func tunLink(typ, packetInfo, multiQueue byte, queues uint32) []byte {
	var r request
	r.message = make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(r.message[4:], 7)
	r.attribute(unix.IFLA_IFNAME, []byte("flannel0\x00"))
	r.nest(unix.IFLA_LINKINFO|unix.NLA_F_NESTED, func() {
		r.attribute(unix.IFLA_INFO_KIND, []byte("tun\x00"))
		r.nest(unix.IFLA_INFO_DATA, func() {
			r.attribute(unix.IFLA_TUN_TYPE, []byte{typ})
			r.attribute(unix.IFLA_TUN_PI, []byte{packetInfo})
			r.attribute(unix.IFLA_TUN_MULTI_QUEUE, []byte{multiQueue})
			r.attribute(unix.IFLA_TUN_NUM_QUEUES, binary.NativeEndian.AppendUint32(nil, queues))
			r.attribute(unix.IFLA_TUN_NUM_DISABLED_QUEUES, binary.NativeEndian.AppendUint32(nil, 1))
		})
	})
	return r.message
}

func TestLinkKinds(t *testing.T) {
	tests := []struct {
		msg    []byte
		ours   bool
		queues int
		text   string
	}{
		{tunLink(unix.IFF_TUN, 0, 1, 2), true, 3, ""},
		{tunLink(unix.IFF_TAP, 0, 1, 0), false, 1, "a TAP device"},
		{tunLink(unix.IFF_TUN, 0, 0, 0), false, 1, "a TUN device with a single queue"},
		{tunLink(unix.IFF_TUN, 1, 1, 0), false, 1, "a TUN device with packet information"},
	}
	for _, test := range tests {
		l, err := parseLink(test.msg)
		if err != nil {
			t.Fatal(err)
		}
		if l.index != 7 || l.isMultiQueueTUN() != test.ours || l.queues != test.queues {
			t.Errorf("%s: read as %+v", test.text, l)
		}
		if !test.ours && l.String() != test.text {
			t.Errorf("called %q, want %q", l, test.text)
		}
	}
}

func TestReplyErrors(t *testing.T) {
	reply := func(typ uint16, payload ...byte) []byte {
		r := newRequest(typ, 0)
		r.message = append(r.message, payload...)
		binary.NativeEndian.PutUint32(r.message, uint32(len(r.message)))
		return r.message
	}
	code := func(errno unix.Errno) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno))) }
	lies := reply(unix.RTM_NEWLINK)
	binary.NativeEndian.PutUint32(lies, 4000)
	tests := []struct {
		reply []byte
		want  error
	}{
		{reply(unix.NLMSG_ERROR, code(0)...), nil},
		{reply(unix.NLMSG_ERROR, code(unix.EPERM)...), unix.EPERM},
		{reply(unix.NLMSG_ERROR, 1), errMalformedReply},
		{reply(unix.RTM_NEWLINK), nil},
		{lies, errMalformedReply},
		{nil, errMalformedReply},
	}
	for _, test := range tests {
		if _, err := parseReply(test.reply); !errors.Is(err, test.want) {
			t.Errorf("%x: error %v, want %v", test.reply, err, test.want)
		}
	}
}

func TestAttributesAreFoundAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.MapOf(rapid.Uint16Range(0, 0x3fff), rapid.SliceOfN(rapid.Byte(), 0, 40)).Draw(t, "attributes")
		var r request
		for typ, payload := range want {
			r.attribute(typ, payload)
		}
		for typ, payload := range want {
			got, ok := findAttribute(r.message, typ)
			if !ok || !bytes.Equal(got, payload) {
				t.Errorf("attribute %d is %x, want %x", typ, got, payload)
			}
		}
	})
}

// The kernel is trusted, but its messages are parsed as if it were not.
func FuzzParseLink(f *testing.F) {
	f.Add(tunLink(unix.IFF_TUN, 0, 1, 2))
	f.Add(make([]byte, unix.SizeofIfInfomsg))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, msg []byte) {
		if payload, err := parseReply(msg); err == nil && len(payload) >= len(msg) {
			t.Errorf("payload of %d bytes in a reply of %d", len(payload), len(msg))
		}
		l, err := parseLink(msg)
		if err == nil && len(msg) < unix.SizeofIfInfomsg {
			t.Errorf("accepted %d bytes", len(msg))
		}
		if l.String() == "" {
			t.Error("a link without a description")
		}
	})
}
