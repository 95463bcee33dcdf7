// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"net/netip"
)

// EndpointRules is what an endpoint is checked against.
type EndpointRules struct {
	network  netip.Prefix
	self     netip.AddrPort // this node's own endpoint
	loopback bool           // the underlay is the loopback interface
}

// Refuse says why no datagram may be sent to an endpoint, "" when it may.
func (r EndpointRules) Refuse(e netip.AddrPort) string {
	switch {
	case !e.Addr().Is4() || e.Port() == 0:
		return "announces no usable endpoint"
	case e == r.self:
		return fmt.Sprintf("endpoint %s is this node's own", e)
	}
	return r.refuseHost(e.Addr(), e.String())
}

// refuseHost says why no packet may be sent to an underlay address, "" when it
// may. endpoint is what it stands in.
func (r EndpointRules) refuseHost(a netip.Addr, endpoint string) string {
	switch {
	case r.network.Contains(a):
		return fmt.Sprintf("endpoint %s lies inside the network", endpoint)
	case a.IsLoopback() && !r.loopback:
		return fmt.Sprintf("endpoint %s is a loopback address", endpoint)
	case a.IsUnspecified(), a.IsMulticast(), a.As4()[0] == 0, a.As4()[0] >= 240: // 240/4 and limited broadcast
		return fmt.Sprintf("endpoint %s is no address of a host", endpoint)
	}
	return ""
}
