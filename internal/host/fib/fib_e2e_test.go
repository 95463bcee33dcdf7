// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package fib

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"flanneld/internal/host/link/linktest"
)

func TestMain(m *testing.M) { linktest.Main(m) }

// overlayHost makes a host with an overlay device, two network cards and a
// bridge with the lease 10.244.7.0/24.
func overlayHost(t *testing.T) {
	t.Helper()
	linktest.Script(t, `
		ip link add flannel0 type veth peer name far0
		ip link add eth0 type veth peer name far1
		ip link add eth1 type veth peer name far2
		ip link add docker0 type bridge
		ip link set far0 up
		ip link set far1 up
		ip link set far2 up
		ip link set flannel0 up
		ip link set eth0 up
		ip link set eth1 up
		ip link set docker0 up
		sysctl -qw net.ipv4.ip_forward=1
		ip addr add 10.244.7.0/32 dev flannel0
		ip addr add 192.0.2.1/24 dev eth0
		ip addr add 198.51.100.1/24 dev eth1
		ip addr add 10.244.7.1/24 dev docker0
		ip route add 10.244.0.0/16 dev flannel0 src 10.244.7.0`)
	t.Cleanup(func() {
		linktest.Script(t, "ip link delete flannel0\nip link delete eth0\nip link delete eth1\nip link delete docker0")
	})
}

var lease = prefix("10.244.7.0/24")

// host and pod are where packets come from on the overlay host.
var host, pod = Origin{}, Origin{Device: "docker0", Source: netip.MustParseAddr("10.244.7.2")}

func detoursNow(t *testing.T, from ...Origin) []Detour {
	t.Helper()
	h, err := Read(network, "flannel0")
	if err != nil {
		t.Fatal(err)
	}
	all, err := Detours(h, network, lease, "flannel0", from)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Whatever leads packets of the network away is found, with what takes it away
// again.
func TestWhateverLeadsAwayIsFound(t *testing.T) {
	overlayHost(t)
	if all := detoursNow(t, host, pod); len(all) != 0 {
		t.Errorf("at first: %+v", all)
	}
	for name, c := range map[string]struct {
		add, del string // commands, one a line
		want     string // PREFIX DEVICE
		from     int    // how many origins go so
		remove   string
	}{
		"a route to a part": {"ip route add 10.244.9.0/24 via 192.0.2.254", "ip route del 10.244.9.0/24",
			"10.244.9.0/24 eth0", 2, "ip route del 10.244.9.0/24 via 192.0.2.254 dev eth0"},
		"a route to one address": {"ip route add 10.244.9.9/32 dev eth1 metric 5", "ip route del 10.244.9.9/32 metric 5",
			"10.244.9.9/32 eth1", 2, "ip route del 10.244.9.9/32 dev eth1 metric 5"},
		"a blackhole": {"ip route add blackhole 10.244.128.0/17", "ip route del blackhole 10.244.128.0/17",
			"10.244.128.0/17 ", 2, "ip route del blackhole 10.244.128.0/17"},
		"a refusal": {"ip route add prohibit 10.244.9.0/24", "ip route del prohibit 10.244.9.0/24",
			"10.244.9.0/24 ", 2, "ip route del prohibit 10.244.9.0/24"},
		"next hops of two devices": {"ip route add 10.244.9.0/24 nexthop via 192.0.2.254 dev eth0 nexthop dev flannel0", "ip route del 10.244.9.0/24",
			"10.244.9.0/24 eth0, flannel0", 2, "ip route del 10.244.9.0/24 nexthop via 192.0.2.254 dev eth0 nexthop dev flannel0"},
		"a rule for a destination": {"ip route add default via 198.51.100.254 table 77\nip rule add to 10.244.64.0/18 priority 50 table 77",
			"ip rule del priority 50\nip route flush table 77", "10.244.64.0/18 eth1", 2, "ip rule del priority 50"},
		"a rule for everything": {"ip route add default via 198.51.100.254 table 77\nip rule add priority 60 table 77",
			"ip rule del priority 60\nip route flush table 77", "10.244.0.0/16 eth1", 2, ""},
		"a rule for containers": {"ip route add default via 198.51.100.254 table 77\nip rule add iif docker0 priority 60 table 77",
			"ip rule del priority 60\nip route flush table 77", "10.244.0.0/16 eth1", 1, ""},
		"a rule for this host": {"ip route add default via 198.51.100.254 table 77\nip rule add iif lo priority 60 table 77",
			"ip rule del priority 60\nip route flush table 77", "10.244.0.0/16 eth1", 1, ""},
		"a rule that lets it pass": {"ip route add 10.244.0.0/16 dev flannel0 table 77\nip rule add priority 60 table 77",
			"ip rule del priority 60\nip route flush table 77", "", 0, ""},
		"no route of ours": {"ip route del 10.244.0.0/16", "ip route add 10.244.0.0/16 dev flannel0 src 10.244.7.0",
			"10.244.0.0/16 ", 2, ""},
		"a route to our own lease": {"ip route add 10.244.7.128/25 dev eth1", "ip route del 10.244.7.128/25", "", 0, ""},
		"a route around":           {"ip route add 10.0.0.0/8 dev eth1", "ip route del 10.0.0.0/8", "", 0, ""},
	} {
		linktest.Script(t, c.add)
		var got []string
		for _, d := range detoursNow(t, host, pod) {
			got = append(got, d.Prefix.String()+" "+d.Device)
			if len(d.From) != c.from || d.Remove != c.remove || d.Text == "" {
				t.Errorf("%s: from %v, remove by %q: %s", name, d.From, d.Remove, d.Text)
			}
		}
		if text := strings.Join(got, "; "); text != c.want {
			t.Errorf("%s: got %q, want %q", name, text, c.want)
		}
		linktest.Script(t, c.del)
	}
	if all := detoursNow(t, host, pod); len(all) != 0 {
		t.Errorf("in the end: %+v", all)
	}
}

// A rule for a mark is about marked packets only: wg-quick adds such a pair.
func TestMarksAreAskedForOnTheirOwn(t *testing.T) {
	overlayHost(t)
	linktest.Script(t, `
		ip route add default via 198.51.100.254 table 51820
		ip rule add fwmark 0xca6c priority 90 table 51820
		ip rule add not fwmark 0x7 priority 91 table main`)
	t.Cleanup(func() {
		linktest.Script(t, "ip rule del priority 90\nip rule del priority 91\nip route flush table 51820")
	})
	h, err := Read(network, "flannel0")
	if err != nil || !slices.Equal(h.Marks, []uint32{0xca6c}) {
		t.Errorf("marks %v, %v", h.Marks, err)
	}
	if all := detoursNow(t, host); len(all) != 0 {
		t.Errorf("without a mark: %+v", all)
	}
	all := detoursNow(t, Origin{Mark: 0xca6c})
	if len(all) != 1 || all[0].Device != "eth1" || all[0].Table != 51820 || !strings.Contains(all[0].Text, "table 51820") {
		t.Errorf("with the mark: %+v", all)
	}
	// The same rule, turned round.
	linktest.Script(t, "ip rule del priority 90\nip rule add not fwmark 0xca6c priority 90 table 51820")
	turned, err := Read(network, "flannel0")
	if err != nil || turned.Signature == h.Signature {
		t.Errorf("the reading is the same: %v\n%s", err, turned.Signature)
	}
	if all := detoursNow(t, host); len(all) != 1 || all[0].Device != "eth1" {
		t.Errorf("without a mark, turned round: %+v", all)
	}
}

// A change of what decides is reported, so that the kernel is asked again.
func TestChangesOfRoutesAndRulesAreReported(t *testing.T) {
	overlayHost(t)
	changes, err := Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{
		"ip route add 10.244.9.0/24 dev eth1", "ip route del 10.244.9.0/24",
		"ip route add blackhole default table 77", "ip route flush table 77",
		"ip rule add priority 60 table 77", "ip rule del priority 60",
		"ip addr add 10.244.9.1/24 dev docker0", "ip link set eth1 down",
	} {
		for quiet := false; !quiet; {
			select {
			case <-changes:
			case <-time.After(20 * time.Millisecond):
				quiet = true
			}
		}
		linktest.Run(t, command)
		select {
		case <-changes:
		case <-time.After(5 * time.Second):
			t.Errorf("%s: not reported", command)
		}
	}
}
