// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"
	"time"

	"flanneld/test/lab"
)

// The data path between hosts works, but no container is reached: a rule of
// another program stands between the device and the bridge. The host with the
// rule reports that, with or without a container to probe.
func TestForwardingThatARuleForbidsIsReported(t *testing.T) {
	for _, c := range []struct {
		name, do, undo string
		word           string
	}{
		{"a base chain that drops", "nft 'add table inet other; add chain inet other f { type filter hook forward priority 10; policy drop; }'", "nft delete table inet other", "drops"},
		{"another that drops what comes from other hosts", "nft 'add table ip other; add chain ip other f { type filter hook forward priority -200; }; add rule ip other f iifname flannel0 ct state new drop'", "nft delete table ip other", "drops"},
		{"one that rejects, as firewalld does", "nft 'add table inet other; add chain inet other f { type filter hook forward priority 10; }; add rule inet other f oifname docker0 reject with icmpx type admin-prohibited'", "nft delete table inet other", "rejects"},
		{"the other kind of iptables", "iptables-legacy -P FORWARD DROP", "iptables-legacy -P FORWARD ACCEPT", "drops"},
		{"dropped on the way out", "nft 'add table inet other; add chain inet other f { type filter hook postrouting priority 10; }; add rule inet other f oifname docker0 drop'", "nft delete table inet other", "drops"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, h1, h2 := duo(t)
			h2.Bridge()
			time.Sleep(12 * time.Second) // a bridge without containers is proven, too
			well(t, h2, healed)
			h2.Exec(t, "sh", "-c", c.do)
			ill(t, h2, 50*time.Second, "do not reach the containers behind docker0", c.word, "firewall-cmd", "ufw route allow")
			well(t, h1, 5*time.Second)
			h2.Exec(t, "sh", "-c", c.undo)
			well(t, h2, healed)
			h1.Pod().Reachable(t, h2.Pod().Addr, 5*time.Second)
		})
	}
}

// Rules that concern only some traffic are no problem. Neither is a bridge
// without unused addresses.
func TestForwardingThatWorksIsNoProblem(t *testing.T) {
	t.Parallel()
	_, h1, h2 := duo(t)
	p1, p2 := h1.Pod(), h2.Pod()
	h2.Exec(t, "iptables", "-P", "FORWARD", "DROP") // as Docker's rules do: ours accept
	h2.Exec(t, "sh", "-c", "nft 'add table inet other; add chain inet other f { type filter hook forward priority 10; }; add rule inet other f tcp dport 22 drop'")
	p1.Reachable(t, p2.Addr, 5*time.Second)
	p2.Exec(t, "ip", "address", "add", "local", h2.Lease().String(), "dev", "lo") // answers for every address
	time.Sleep(20 * time.Second)
	well(t, h2, healed)
	lab.Eventually(t, 5*time.Second, "the container to be reached", func() error { return p1.Replies(t, p2.Addr) })
}
