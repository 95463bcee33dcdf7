// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package containers

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// masqueraded is a network of CNI's bridge plugin that masquerades what leaves
// the lease.
func masqueraded(h *lab.Host, more string) string {
	return fmt.Sprintf(`{"cniVersion": "0.4.0", "name": "masqueraded", "plugins": [{"type": "bridge", "bridge": "cni0", "isGateway": true,
		"ipMasq": true, %s "ipam": {"type": "host-local", "subnet": "%s", "routes": [{"dst": "0.0.0.0/0"}]}}]}`, more, h.Lease())
}

// TestOthersMasqueradeAndAddressesAreKept: what makes the containers' bridge
// masquerades what leaves it. Other hosts' containers see the containers' own
// addresses, and the rest of the world sees the host's.
func TestOthersMasqueradeAndAddressesAreKept(t *testing.T) {
	t.Parallel()
	for name, attach := range map[string]func(h *lab.Host) *lab.Pod{
		"CNI with iptables": func(h *lab.Host) *lab.Pod { return h.CNI(masqueraded(h, ""), lab.DebianCNI).Add(nil) },
		"CNI with nftables": func(h *lab.Host) *lab.Pod {
			return h.CNI(masqueraded(h, `"ipMasqBackend": "nftables",`), lab.NewPlugins(t)).Add(nil)
		},
		"netavark": (*lab.Host).Netavark,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t)
			h1, h2 := pair(l)
			p1, p2 := attach(h1), attach(h2)
			if rules := h1.Exec(t, "nft", "list", "ruleset"); !strings.Contains(strings.ToLower(rules), "masquerade") {
				t.Fatalf("nothing masquerades: this test shows nothing\n%s", rules)
			}
			ownAddresses(t, p1, p2)
			if got := lab.SendUDP(t, p1.Namespace, p2.Namespace, netip.AddrPortFrom(p2.Addr, 7000), 5, 1000); got.Source != p1.Addr {
				t.Errorf("datagrams from %v arrive from %v", p1.Addr, got.Source)
			}
			p1.Reachable(t, lab.OutsideAddress, 5*time.Second)
			if got := lab.SendTCP(t, p1.Namespace, l.Outside, netip.AddrPortFrom(lab.OutsideAddress, 80), 1000); got.Source != h1.Addr {
				t.Errorf("outside sees %v, want the host's %v", got.Source, h1.Addr)
			}
			h1.Exec(t, "nft", "delete", "table", "ip", "flanneld-identity-flannel0")
			lab.Eventually(t, 5*time.Second, "the table to be put back", func() error {
				r := h1.Run(t, "nft", "list", "table", "ip", "flanneld-identity-flannel0")
				return lab.Expect(r.Status == 0, "%s", r.Stderr)
			})
			ownAddresses(t, p1, p2)
		})
	}
}
