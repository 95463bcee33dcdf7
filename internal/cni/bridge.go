// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"errors"
	"net"
	"net/netip"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
)

// otherBridge adds to the delegate's error what to do if the bridge is still
// that of an earlier lease. The plugin bridge does not change the address of a
// bridge that is there.
func otherBridge(err error, delegated map[string]any) error {
	var failure *types.Error
	if delegated["type"] != "bridge" || !errors.As(err, &failure) {
		return err
	}
	name, _ := delegated["bridge"].(string)
	if name == "" {
		name = "cni0"
	}
	device, lookup := net.InterfaceByName(name)
	if lookup != nil {
		return err
	}
	addresses, lookup := device.Addrs()
	if lookup != nil {
		return err
	}
	if other := outside(addresses, leaseIn(delegated)); other != "" {
		failure.Msg += "; " + name + " has " + other + " and this host's lease is " + leaseIn(delegated) +
			": stop the containers on it, type `ip link delete " + name + "`, start them again"
	}
	return failure
}

// outside returns the first IPv4 address that is not in the lease, "" for none.
func outside(addresses []net.Addr, lease string) string {
	for text := range strings.SplitSeq(lease, ", ") {
		subnet, err := netip.ParsePrefix(text)
		if err != nil || !subnet.Addr().Is4() {
			continue
		}
		for _, a := range addresses {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !subnet.Contains(p.Addr()) {
				return p.String()
			}
		}
	}
	return ""
}
