// SPDX-License-Identifier: Apache-2.0

package config

import (
	"reflect"
	"testing"
)

func TestBackendsAreListsOfPaths(t *testing.T) {
	for text, want := range map[string]Backend{
		"udp": {PathUDP}, "vxlan": {PathVXLAN}, "host-gw": {PathDirect}, "ipip": {PathIPIP},
		"auto":           {PathDirect, PathVXLAN, PathUDP},
		"host-gw,ipip":   {PathDirect, PathIPIP, PathUDP},
		"ipip, udp":      {PathIPIP, PathUDP},
		"udp,vxlan":      {PathUDP, PathVXLAN}, // takes VXLAN and sends none
		"vxlan,udp,ipip": {PathVXLAN, PathUDP, PathIPIP},
	} {
		got, err := ParseBackend(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
		if again, err := ParseBackend(got.String()); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%s: printed as %s and read again: %v, %v", text, got, again, err)
		}
	}
	first, _ := ParseBackend("auto")
	first[0] = PathIPIP
	if again, _ := ParseBackend("auto"); again[0] != PathDirect {
		t.Error("a list that was handed out is shared")
	}
}

func TestPathsCostWhatTheirHeadersTake(t *testing.T) {
	for path, want := range map[Path]int{PathUDP: 28, PathDirect: 0, PathVXLAN: 50, PathIPIP: 20} {
		if got := path.Overhead(); got != want {
			t.Errorf("%s: %d bytes, want %d", path, got, want)
		}
		if path.Kernel() != (path != PathUDP) {
			t.Errorf("%s: carried by the kernel: %t", path, path.Kernel())
		}
	}
	if Path("").Kernel() {
		t.Error("no path is a kernel path")
	}
	if got := (Config{Backend: Backend{PathUDP}, Sealed: true}).Overhead(); got != 60 {
		t.Errorf("sealed: %d bytes, want 60", got)
	}
	for text, want := range map[string]int{"udp": 28, "auto": 50, "host-gw": 0, "host-gw,ipip": 28, "ipip": 20} {
		list, err := ParseBackend(text)
		if got := (Config{Backend: list}).Overhead(); err != nil || got != want {
			t.Errorf("%s: %d bytes, %v, want %d", text, got, err, want)
		}
	}
}

// A path is sent by the lanes' format, by a tunnel device, or bare.
func TestPathsAreOfOneKind(t *testing.T) {
	for path, want := range map[Path][2]bool{
		PathUDP: {true, false}, PathShortcut: {true, false}, PathVXLAN: {false, true}, PathIPIP: {false, true}, PathDirect: {}, "": {},
	} {
		if got := [2]bool{path.Datagrams(), path.Tunnel()}; got != want {
			t.Errorf("%q: datagrams and a tunnel device: %t, want %t", path, got, want)
		}
	}
}

// A device name has at most 15 letters.
func TestTheVXLANDeviceHasFlannelsNameWhereThatFits(t *testing.T) {
	for vni, want := range map[uint32]string{1: "flannel.1", 9999999: "flannel.9999999", 10000000: "flannel.x989680", 16777215: "flannel.xffffff"} {
		if got := VXLANDevice(vni); got != want || CheckDevice(got) != nil {
			t.Errorf("VNI %d: %s, want %s", vni, got, want)
		}
	}
}
