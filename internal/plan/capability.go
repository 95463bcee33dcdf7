// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"

	"flanneld/peers"
)

// Numbers of the capabilities in node records. A number keeps its meaning for
// ever; its parameters may get longer.
const (
	// capUDP: the node takes datagrams in flannel's udp format, the bare inner
	// packet as payload. Its parameter is one byte: the highest version of the
	// format that the node understands.
	capUDP = 1
)

// udpVersion is the version of the udp format that this program sends.
const udpVersion = 1

// Announced is what this program announces in its node record.
func Announced() []peers.Capability {
	return []peers.Capability{{Number: capUDP, Param: []byte{udpVersion}}}
}

// CapabilityName is a capability as people read it: "udp/1", or
// "number/parameter in hexadecimal" for one that this program does not know.
func CapabilityName(c peers.Capability) string {
	switch {
	case c.Number == capUDP && len(c.Param) > 0:
		return fmt.Sprintf("udp/%d", c.Param[0])
	case c.Number == capUDP:
		return "udp"
	case len(c.Param) == 0:
		return fmt.Sprint(c.Number)
	}
	return fmt.Sprintf("%d/%x", c.Number, c.Param)
}

// choosePath chooses how packets travel to a node with these capabilities.
// Every node takes the first version of the udp format, also one that announces
// nothing: that is a node of an earlier release, or a static peer.
func choosePath([]peers.Capability) Path { return PathUDP }
