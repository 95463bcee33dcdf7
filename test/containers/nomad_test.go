// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package containers

import (
	"fmt"
	"net/netip"
	"testing"

	"flanneld/test/lab"
)

// nomadBridge attaches allocations as a Nomad client does whose setting
// bridge_network_subnet is the lease: with the network that Nomad makes for
// mode "bridge" (as of 1.11), and a rule in a chain of its own.
func nomadBridge(t *testing.T, h *lab.Host) *lab.CNI {
	t.Helper()
	subnet := h.Lease().String()
	h.Exec(t, "iptables", "-N", "NOMAD-ADMIN")
	h.Exec(t, "iptables", "-A", "NOMAD-ADMIN", "-o", "nomad", "-d", subnet, "-j", "ACCEPT")
	return h.CNI(fmt.Sprintf(`{"cniVersion": "0.4.0", "name": "nomad", "plugins": [
		{"type": "loopback"},
		{"type": "bridge", "bridge": "nomad", "ipMasq": true, "isGateway": true, "forceAddress": true, "hairpinMode": false,
		 "ipam": {"type": "host-local", "ranges": [[{"subnet": "%s"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
		{"type": "firewall", "backend": "iptables", "iptablesAdminChainName": "NOMAD-ADMIN"},
		{"type": "portmap", "capabilities": {"portMappings": true}, "snat": true}]}`, subnet), lab.DebianCNI)
}

// TestNomad: allocations in mode "bridge" reach those of other hosts with their
// own addresses, also where a host forwards nothing by itself.
func TestNomad(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := pair(l)
	for _, h := range []*lab.Host{h1, h2} {
		h.Exec(t, "iptables", "-P", "FORWARD", "DROP") // as Docker leaves it
	}
	n1, n2 := nomadBridge(t, h1), nomadBridge(t, h2)
	a, b := n1.Add(nil), n2.Add(map[int]int{25000: 80})
	for _, p := range []*lab.Pod{a, b} {
		if !p.Host.Lease().Contains(p.Addr) {
			t.Fatalf("%v is not in the lease %v", p.Addr, p.Host.Lease())
		}
	}
	ownAddresses(t, a, b)
	published, port := netip.AddrPortFrom(h2.Addr, 25000), netip.AddrPortFrom(b.Addr, 80)
	lab.SendTCPVia(t, h1.Namespace, b.Namespace, published, port, 1<<16)
	lab.SendTCPVia(t, a.Namespace, b.Namespace, published, port, 1<<16)
	a.Reachable(t, lab.OutsideAddress, ready)
	h1.Daemon.Stop()
	c := n1.Add(nil)
	h1.Start().WaitReady(ready)
	ownAddresses(t, c, b)
	if err := n1.Delete(a); err != nil {
		t.Error(err)
	}
}
