// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package kernelpath

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"flanneld/internal/host/link/linktest"
)

// bonded makes eth0 by a script, above the bond "trunk" of that mode, which has
// two wires to a bridge on the host "far". On Debian's kernels nothing may be
// skipped; see test/kernels.
func bonded(t *testing.T, mode, script string) {
	t.Helper()
	if _, err := linktest.Try("ip link add probe type bond"); err != nil {
		t.Skipf("this kernel has no bond: %v", err)
	}
	t.Cleanup(func() {
		for _, line := range []string{"ip link delete eth0", "ip link delete trunk", "ip netns del far"} {
			linktest.Try(line)
		}
	})
	linktest.Script(t, `
		ip link delete probe
		ip netns add far
		ip -n far link add br7 type bridge
		ip -n far address add 192.168.7.9/24 dev br7
		ip -n far link set br7 up
		ip link add trunk type bond miimon 50 mode `+mode)
	for _, wire := range []string{"wire", "spare"} {
		linktest.Script(t, strings.ReplaceAll(`
			ip link add WIRE type veth peer name WIRE netns far
			ip -n far link set WIRE master br7 up
			ip link set WIRE master trunk`, "WIRE", wire))
	}
	linktest.Script(t, "ip link set trunk up\n"+script+`
		ip address add 192.168.7.1/24 dev eth0
		ip link set eth0 up`)
}

// Bonds that send from the MAC addresses of their ports: other hosts would take
// what comes from one. So this host lacks the path direct, and says why.
func TestBondThatSpreadsLacksThePathDirect(t *testing.T) {
	above := map[string]string{
		"the bond":   "ip link set trunk down\nip link set trunk name eth0",
		"its VLAN":   "ip link add link trunk name eth0 type vlan id 7",
		"its bridge": "ip link add eth0 type bridge\nip link set trunk master eth0",
	}
	for _, mode := range []string{"balance-tlb", "balance-alb", "active-backup"} {
		for name, script := range above {
			t.Run(mode+", "+name, func(t *testing.T) {
				bonded(t, mode, script)
				overlay(t)
				p := started(t, testConfig())
				want := fmt.Sprintf("(mode %s) sends from several MAC addresses", mode)
				if why := p.Unavailable(Direct); mode == "active-backup" && why != "" || mode != "active-backup" && !strings.Contains(why, want) {
					t.Errorf("direct: %q", why)
				}
				if why := p.Unavailable(Vxlan); why != "" {
					t.Errorf("vxlan: %q", why)
				}
			})
		}
	}
}

// That is what the kernel does: a bridge learns the MAC address of each port.
func TestBondThatSpreadsSendsFromBothPorts(t *testing.T) {
	bonded(t, "balance-tlb tlb_dynamic_lb 0 xmit_hash_policy layer3+4", "ip link set trunk down\nip link set trunk name eth0")
	var ports []string
	for _, wire := range []string{"wire", "spare"} {
		for line := range strings.Lines(linktest.Run(t, "ip -o link show "+wire)) {
			words := strings.Fields(line)
			for i, w := range words {
				if w == "permaddr" || w == "link/ether" && !strings.Contains(line, "permaddr") {
					ports = append(ports, words[i+1])
				}
			}
		}
	}
	if len(ports) != 2 || ports[0] == ports[1] {
		t.Fatalf("the ports have %q", ports)
	}
	deadline := time.Now().Add(20 * time.Second * patience())
	for n := 20; ; n++ {
		linktest.Script(t, fmt.Sprintf("ip -n far address add 192.168.7.%d/24 dev br7\nping -c 1 -W 5 192.168.7.%[1]d", n))
		fdb := linktest.Run(t, "bridge -n far fdb show br br7")
		if learned(fdb, ports[0]) && learned(fdb, ports[1]) {
			return
		}
		if time.Now().After(deadline) || n == 200 {
			t.Fatalf("frames came from one port's address only, of %q\n%s", ports, fdb)
		}
	}
}

// learned reports whether a bridge has learned a MAC address.
func learned(fdb, mac string) bool {
	for line := range strings.Lines(fdb) {
		if strings.HasPrefix(line, mac) && !strings.Contains(line, "permanent") {
			return true
		}
	}
	return false
}
