// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"net/netip"
)

// endpointRules is what an announced endpoint is checked against.
type endpointRules struct {
	network  netip.Prefix
	self     netip.AddrPort // this node's own endpoint
	loopback bool           // the underlay is the loopback interface
}

// refuse says why no datagram may be sent to an endpoint, "" when it may.
func (r endpointRules) refuse(e netip.AddrPort) string {
	a := e.Addr()
	switch {
	case !a.Is4() || e.Port() == 0:
		return "announces no usable endpoint"
	case r.network.Contains(a):
		return fmt.Sprintf("endpoint %s lies inside the network", e)
	case a.IsLoopback() && !r.loopback:
		return fmt.Sprintf("endpoint %s is a loopback address", e)
	case a.IsUnspecified(), a.IsMulticast(), a.As4()[0] == 0, a.As4()[0] >= 240: // 240/4 and limited broadcast
		return fmt.Sprintf("endpoint %s is no address of a host", e)
	case e == r.self:
		return fmt.Sprintf("endpoint %s is this node's own", e)
	}
	return ""
}
