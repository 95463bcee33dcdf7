// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"
	"fmt"
	"slices"

	"flanneld/peers"
)

// Numbers of the capabilities in node records. A number keeps its meaning for
// ever; its parameters may get longer.
const (
	// capUDP: the node takes datagrams in flannel's udp format, the bare inner
	// packet as payload. Its parameter is one byte: the highest version of the
	// format that the node understands. 0: the node takes none.
	capUDP = 1
	// capDirect: the node takes bare packets from its segment, at the address
	// of its endpoint. It has no parameter.
	capDirect = 2
	// capVXLAN: the node takes VXLAN. Its parameters are the UDP port in two
	// bytes and the VNI in three, big endian.
	capVXLAN = 3
	// capIPIP: the node takes IP in IP. It has no parameter.
	capIPIP = 4
	// capShortcut: the node's kernel takes datagrams of capUDP before the lanes
	// do, and completes what senders have left to devices. Its parameter is one
	// byte: the highest version of the short-cut that the node understands.
	capShortcut = 5
)

const (
	// udpVersion is the version of the udp format that this program sends.
	udpVersion = 1
	// shortcutVersion is the version of the short-cut that this program has.
	shortcutVersion = 1
)

// Announced is what this node announces in its record: the paths of its backend
// list that this host has. unavailable is Input's.
func Announced(backend []Path, port uint16, vni uint32, unavailable func(Path) string) []peers.Capability {
	offers := func(p Path) bool {
		return slices.Contains(backend, p) && (unavailable == nil || unavailable(p) == "")
	}
	udp := peers.Capability{Number: capUDP, Param: []byte{0}}
	if len(backend) == 0 || offers(PathUDP) {
		udp.Param[0] = udpVersion
	}
	all := []peers.Capability{udp}
	if offers(PathDirect) {
		all = append(all, peers.Capability{Number: capDirect})
	}
	if offers(PathVXLAN) {
		all = append(all, peers.Capability{Number: capVXLAN, Param: vxlanParam{port, vni}.bytes()})
	}
	if offers(PathIPIP) {
		all = append(all, peers.Capability{Number: capIPIP})
	}
	return all
}

// AnnouncedShortcut is what a node announces if its kernel carries the udp
// format.
func AnnouncedShortcut() peers.Capability {
	return peers.Capability{Number: capShortcut, Param: []byte{shortcutVersion}}
}

// takesShortcut reports whether a node's kernel takes datagrams.
func takesShortcut(caps []peers.Capability) bool {
	version, ok := find(caps, capShortcut)
	return ok && len(version) > 0 && version[0] >= shortcutVersion
}

// vxlanParam is where a node takes VXLAN.
type vxlanParam struct {
	port uint16
	vni  uint32 // 24 bits
}

const vxlanParamLen = 5 // bytes

func (v vxlanParam) bytes() []byte {
	b := binary.BigEndian.AppendUint16(nil, v.port)
	return append(b, byte(v.vni>>16), byte(v.vni>>8), byte(v.vni))
}

// readVXLAN reads the parameters of capVXLAN. What is longer is of a later
// version, and its rest is left alone.
func readVXLAN(param []byte) (v vxlanParam, ok bool) {
	if len(param) < vxlanParamLen {
		return v, false
	}
	v.port = binary.BigEndian.Uint16(param)
	v.vni = uint32(param[2])<<16 | uint32(param[3])<<8 | uint32(param[4])
	return v, v.port != 0
}

// find returns the parameters that a node announces under a number. Of two, the
// first counts.
func find(caps []peers.Capability, number uint16) (param []byte, ok bool) {
	i := slices.IndexFunc(caps, func(c peers.Capability) bool { return c.Number == number })
	if i < 0 {
		return nil, false
	}
	return caps[i].Param, true
}

// takesUDP reports whether a node takes datagrams. A node that does not say so
// takes the first version: it is of an earlier release.
func takesUDP(caps []peers.Capability) bool {
	version, ok := find(caps, capUDP)
	return !ok || len(version) == 0 || version[0] > 0
}

// CapabilityName is a capability as people read it: "udp/1", "vxlan/8472/1"
// with port and VNI, or "number/parameter in hexadecimal" for one that this
// program does not know.
func CapabilityName(c peers.Capability) string {
	switch {
	case c.Number == capUDP && len(c.Param) == 0:
		return string(PathUDP)
	case c.Number == capUDP && c.Param[0] == 0:
		return "no udp"
	case c.Number == capUDP:
		return fmt.Sprintf("%s/%d", PathUDP, c.Param[0])
	case c.Number == capDirect:
		return string(PathDirect)
	case c.Number == capIPIP:
		return string(PathIPIP)
	case c.Number == capShortcut && len(c.Param) > 0:
		return fmt.Sprintf("%s/%d", PathShortcut, c.Param[0])
	case c.Number == capSeal:
		return suitesText(c)
	case c.Number == capVXLAN:
		if v, ok := readVXLAN(c.Param); ok {
			return fmt.Sprintf("%s/%d/%d", PathVXLAN, v.port, v.vni)
		}
	}
	if len(c.Param) == 0 {
		return fmt.Sprint(c.Number)
	}
	return fmt.Sprintf("%d/%x", c.Number, c.Param)
}
