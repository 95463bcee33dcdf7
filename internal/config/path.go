// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"flanneld/encap"
	"flanneld/internal/seal"
	"flanneld/internal/valid"
)

// A Path is how packets travel to a peer. Its text is what people see: in
// tables, in JSON, in metrics.
type Path string

// The paths. All but PathUDP are kernel paths: the kernel carries packets by
// itself, along a route that is more specific than the overlay device's.
const (
	// PathUDP is the user path. The lanes wrap each packet in a UDP datagram,
	// and the peer's lanes unwrap it.
	PathUDP Path = "udp"
	// PathDirect sends bare packets to the peer on the same segment. flannel
	// calls it host-gw.
	PathDirect Path = "direct"
	// PathVXLAN wraps packets in VXLAN (RFC 7348).
	PathVXLAN Path = "vxlan"
	// PathIPIP wraps packets in IP (RFC 2003).
	PathIPIP Path = "ipip"

	// PathShortcut is PathUDP where the kernel does what the lanes do. It is
	// none of the backend list, but is probed and proven like a path.
	PathShortcut Path = "short-cut"
)

// MAC is an Ethernet address.
type MAC = net.HardwareAddr

// Paths are all paths of the backend list.
func Paths() []Path { return []Path{PathUDP, PathDirect, PathVXLAN, PathIPIP} }

// hostGW is flannel's name for PathDirect.
const hostGW = "host-gw"

// Backend is the name of the path on the command line: flannel's.
func (p Path) Backend() string {
	if p == PathDirect {
		return hostGW
	}
	return string(p)
}

// Kernel reports whether packets travel without the lanes. The empty path is no
// path.
func (p Path) Kernel() bool { return p != PathUDP && p != "" }

// Datagrams reports whether packets travel in datagrams of the udp format,
// whatever wraps them.
func (p Path) Datagrams() bool { return p == PathUDP || p == PathShortcut }

// Tunnel reports whether packets travel by a tunnel device of the kernel.
func (p Path) Tunnel() bool { return p == PathVXLAN || p == PathIPIP }

// What kernel paths add to a packet over IPv4, in bytes.
const (
	vxlanOverhead = 14 + 8 + 8 + 20 // inner Ethernet, VXLAN, UDP, outer IP
	ipipOverhead  = 20              // outer IP
)

// Overhead returns what the path adds to a packet over IPv4, in bytes.
func (p Path) Overhead() int {
	switch p {
	case PathDirect:
		return 0
	case PathVXLAN:
		return vxlanOverhead
	case PathIPIP:
		return ipipOverhead
	}
	return encap.Overhead(netip.IPv4Unspecified())
}

// Overhead returns the largest overhead among the paths of the backend list, in
// bytes: a change from one to another never changes the MTU of the overlay
// device. What seals a packet is included.
func (c Config) Overhead() (largest int) {
	for _, p := range c.Backend {
		largest = max(largest, p.Overhead())
	}
	if c.Sealed {
		largest += seal.Overhead
	}
	return largest
}

// Backend is the list of --backend: which paths are used, the best one first.
type Backend []Path

// String is what the flag takes.
func (b Backend) String() string {
	names := make([]string, len(b))
	for i, p := range b {
		names[i] = p.Backend()
	}
	return strings.Join(names, ",")
}

// autoBackend is the list that stands for one word.
var autoBackend = Backend{PathDirect, PathVXLAN, PathUDP}

// ParseBackend reads the value of --backend. A list of two or more paths ends
// with PathUDP, unless it has it elsewhere. A single path stays alone.
func ParseBackend(text string) (Backend, error) {
	if text == "auto" {
		return slices.Clone(autoBackend), nil
	}
	var list Backend
	for name := range strings.SplitSeq(text, ",") {
		p, err := parsePath(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		if slices.Contains(list, p) {
			return nil, fmt.Errorf("has %s twice", p.Backend())
		}
		list = append(list, p)
	}
	if len(list) > 1 && !slices.Contains(list, PathUDP) {
		list = append(list, PathUDP)
	}
	return list, nil
}

func parsePath(name string) (Path, error) {
	var known []string
	for _, p := range Paths() {
		if name == p.Backend() {
			return p, nil
		}
		known = append(known, p.Backend())
	}
	switch name {
	case "":
		return "", errors.New("has an empty name; write it like vxlan or host-gw,vxlan,udp")
	case string(PathDirect):
		return "", errors.New("direct is called host-gw here, as flannel calls it")
	case "auto":
		return "", fmt.Errorf("auto stands alone: it is %s", autoBackend)
	}
	return "", fmt.Errorf("%.20q is neither auto nor one of %s", name, strings.Join(known, ", "))
}

// Names of the devices of kernel paths: flannel's.
const (
	deviceStem = "flannel."
	IPIPDevice = deviceStem + "ipip"
)

// VXLANDevice is the name of the VXLAN device of a VNI. One of eight digits
// does not fit into a device name, and stands there in hexadecimal.
func VXLANDevice(vni uint32) string {
	if name := fmt.Sprint(deviceStem, vni); len(name) <= valid.MaxDevice {
		return name
	}
	return fmt.Sprintf("%sx%06x", deviceStem, vni)
}

// Uses reports whether the backend list has a path.
func (c Config) Uses(p Path) bool { return slices.Contains(c.Backend, p) }
