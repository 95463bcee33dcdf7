// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package kernelpath

import (
	"strings"
	"testing"
	"time"

	"flanneld/internal/host/link/linktest"
)

// farVXLAN, farDirect and farIPIP make the other host's end by hand, as flannel
// would.
const (
	farVXLAN = `
		ip -n far link add flannel.1 address 02:00:00:00:00:09 type vxlan id 1 dev eth1 local 192.168.7.9 dstport 8472 nolearning
		ip -n far addr add 10.244.9.0/32 dev flannel.1
		ip -n far link set flannel.1 up
		ip -n far neigh add 10.244.7.0 lladdr 02:00:00:00:00:07 dev flannel.1 nud permanent
		bridge -n far fdb add 02:00:00:00:00:07 dst 192.168.7.1 dev flannel.1
		ip -n far route add 10.244.7.0/24 via 10.244.7.0 dev flannel.1 onlink src 10.244.9.0`
	farDirect = `
		ip -n far addr add 10.244.9.0/32 dev lo
		ip -n far route add 10.244.7.0/24 via 192.168.7.1 dev eth1 src 10.244.9.0`
	farIPIP = `
		ip -n far link add flannel.ipip type ipip local 192.168.7.9 dev eth1
		ip -n far addr add 10.244.9.0/32 dev flannel.ipip
		ip -n far link set flannel.ipip up
		ip -n far route add 10.244.7.0/24 via 192.168.7.1 dev flannel.ipip onlink src 10.244.9.0`
)

// Packets go to a host with flannel's own devices and come back, at the largest
// size too. A larger one is refused at once.
func TestPacketsGoToFlannelAndComeBack(t *testing.T) {
	for path, far := range map[string]string{Vxlan: farVXLAN, Direct: farDirect, Ipip: farIPIP} {
		if path == Ipip && !hasIPIP(t) {
			continue // TestIPIP says what there is then
		}
		t.Run(path, func(t *testing.T) {
			linktest.Underlay(t)
			farHost(t)
			overlay(t)
			linktest.Script(t, "ip -n far link set lo up\n"+far)
			c := testConfig()
			c.IPIP = &IPIP{Name: "flannel.ipip"}
			peer := testPeer(9, path)
			peer.MTU = 1400
			started(t, c, peer)
			linktest.Run(t, "ping -c 2 -i 0.2 -W 5 10.244.9.0")
			linktest.Run(t, "ping -c 2 -i 0.2 -W 5 -M do -s 1372 10.244.9.0")
			linktest.Run(t, "ip netns exec far ping -c 2 -i 0.2 -W 5 10.244.7.0")
			if text, err := linktest.Try("ping -c 1 -W 5 -M do -s 1373 10.244.9.0"); err == nil || !strings.Contains(err.Error(), "essage too long") {
				t.Errorf("too large: %s, %v", text, err)
			}
		})
	}
}

// No packet is lost when the path changes, and changes again.
func TestNoPacketIsLostWhenThePathChanges(t *testing.T) {
	linktest.Underlay(t)
	farHost(t)
	overlay(t)
	linktest.Script(t, "ip -n far link set lo up\n"+farVXLAN)
	p := started(t, testConfig(), testPeer(9, Vxlan))
	linktest.Run(t, "ping -c 1 -W 5 10.244.9.0")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 40 {
			time.Sleep(80 * time.Millisecond)
			p.SetPeers([]Peer{testPeer(9, []string{Direct, Vxlan}[i%2])})
		}
	}()
	text := linktest.Run(t, "ping -q -c 1000 -i 0.004 10.244.9.0")
	<-done
	if !strings.Contains(text, " 0% packet loss") {
		t.Errorf("lost: %s", text)
	}
}
