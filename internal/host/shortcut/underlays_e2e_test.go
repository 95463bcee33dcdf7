// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package shortcut

import (
	"strings"
	"testing"
	"time"

	"flanneld/internal/host/link/linktest"
)

// Underlays that are devices above others. Each script makes eth0 on both
// hosts; N is 1 and 2.
var stackedUnderlays = []struct {
	name, wire, each string
	needs            []string
}{
	{"VLAN", oneWire, onVLAN, []string{"vlan"}},
	{"VLAN without offloads", oneWire + `
		ip netns exec h1 ethtool -K wire txvlan off rxvlan off
		ip netns exec h2 ethtool -K wire txvlan off rxvlan off`, onVLAN, []string{"vlan"}},
	{"bond", twoWires, "ip -n hN link add eth0 type bond mode active-backup miimon 50" + joinBond, []string{"bond"}},
	{"bond that hashes", twoWires, "ip -n hN link add eth0 type bond mode balance-xor xmit_hash_policy layer3+4 miimon 50" + joinBond,
		[]string{"bond"}},
	{"VLAN of a bond", twoWires, "ip -n hN link add trunk type bond mode active-backup miimon 50" + strings.ReplaceAll(joinBond, "eth0", "trunk") + `
		ip -n hN link set trunk up
		ip -n hN link add link trunk name eth0 type vlan id 7`, []string{"bond", "vlan"}},
	{"bridge", oneWire, `
		ip -n hN link add eth0 type bridge
		ip -n hN link set wire master eth0 up`, nil},
}

const (
	oneWire  = "ip -n h1 link add wire type veth peer name wire netns h2"
	twoWires = oneWire + `
		ip -n h1 link add spare type veth peer name spare netns h2`
	joinBond = `
		ip -n hN link set wire master eth0
		ip -n hN link set spare master eth0`
	onVLAN = `
		ip -n hN link set wire up
		ip -n hN link add link wire name eth0 type vlan id 1285`
)

// stack makes such an underlay.
func stack(t *testing.T, wire, each string) {
	t.Helper()
	linktest.Script(t, wire)
	for _, n := range []string{"1", "2"} {
		linktest.Script(t, strings.ReplaceAll(each+`
			ip -n hN address add 192.0.2.N/24 dev eth0
			ip -n hN link set eth0 up`, "N", n))
	}
}

// needs skips a test of a kind of device that the kernel has not. On Debian's
// kernels nothing may be skipped; see test/kernels.
func needs(t *testing.T, kind string) {
	t.Helper()
	arguments := map[string]string{"vlan": "link wire name probe type vlan id 2", "bond": "name probe type bond"}
	add, known := arguments[kind]
	if !known {
		t.Fatalf("no command makes a %s", kind)
	}
	linktest.Run(t, "ip link add wire type veth peer name peer")
	defer linktest.Run(t, "ip link delete wire")
	if _, err := linktest.Try("ip link add " + add); err != nil {
		t.Skipf("this kernel has no %s: %v", kind, err)
	}
	linktest.Run(t, "ip link delete probe")
}

// Where the underlay is a VLAN, a bond or a bridge, the kernel carries pings
// and superpackets as well, and the counters of both ends agree.
func TestCarriesPacketsOverStackedUnderlays(t *testing.T) {
	for _, u := range stackedUnderlays {
		t.Run(u.name, func(t *testing.T) {
			for _, kind := range u.needs {
				needs(t, kind)
			}
			hosts := hostsOn(t, func() { stack(t, u.wire, u.each) })
			ping(t, "c1", "10.244.2.2")
			transfer(t, "c1", "c2", "10.244.2.2", 16<<20)
			segments := hosts[1].part.Total().Received.Packets
			if whole := received(t, "c2"); whole > segments/4 {
				t.Errorf("%d segments reached the container in %d packets", segments, whole)
			}
			transfer(t, "c2", "c1", "10.244.1.2", 16<<20)
			sumsAgree(t, hosts)
		})
	}
}

// A bond that loses its active device goes on by the other one, without an
// Ensure.
func TestBondsFailOver(t *testing.T) {
	needs(t, "bond")
	hosts := hostsOn(t, func() {
		stack(t, twoWires, "ip -n hN link add eth0 type bond mode active-backup miimon 50 primary wire"+joinBond)
	})
	ping(t, "c1", "10.244.2.2")
	linktest.Run(t, "ip -n h1 link set wire down")
	active := ""
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		active = linktest.Run(t, "ip netns exec h1 cat /sys/class/net/eth0/bonding/active_slave") +
			linktest.Run(t, "ip netns exec h2 cat /sys/class/net/eth0/bonding/active_slave")
		if active == "spare\nspare\n" {
			break
		}
	}
	if active != "spare\nspare\n" {
		t.Fatalf("the bonds use %q", active)
	}
	ping(t, "c1", "10.244.2.2")
	transfer(t, "c1", "c2", "10.244.2.2", 4<<20)
	transfer(t, "c2", "c1", "10.244.1.2", 4<<20)
	sumsAgree(t, hosts)
}

// A VLAN device that leaves the tags in frames has a longer link header, at
// which the program would not find the datagrams. The reason names the command.
func TestVLANsThatKeepTagsAreRefused(t *testing.T) {
	needs(t, "vlan")
	hosts := hostsOn(t, func() { stack(t, oneWire, onVLAN) })
	h := hosts[0]
	linktest.Run(t, "ip -n h1 link set eth0 type vlan reorder_hdr off")
	linktest.In(t, h.name, func() error {
		_, err := h.part.Ensure(t.Context())
		return err
	})
	if s := h.part.State(); s.Ready || !strings.Contains(s.Why, "ip link set eth0 type vlan reorder_hdr on") {
		t.Errorf("state %+v", s)
	}
	linktest.Run(t, "ip -n h1 link set eth0 type vlan reorder_hdr on")
	h.ensure(t)
	ping(t, "c1", "10.244.2.2")
}
