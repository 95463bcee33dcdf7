// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"

	"flanneld/internal/host/bridge"
)

// onBridge is a bridge with addresses.
func onBridge(name string, used bool, addrs ...string) bridge.Bridge {
	b := bridge.Bridge{Name: name}
	if used {
		b.Ports = []string{"veth0"}
	}
	for _, a := range addrs {
		b.Addrs = append(b.Addrs, netip.MustParsePrefix(a))
	}
	return b
}
