// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package view

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"flanneld/internal/control"
	"flanneld/internal/dataplane"
	"flanneld/internal/host"
	"flanneld/internal/host/link"
	"flanneld/internal/host/link/linktest"
	"flanneld/internal/host/ruleset"
	"flanneld/internal/monitor"
	"flanneld/internal/plan/plantest"
	"flanneld/internal/problem"
	"flanneld/peers"
)

func TestMain(m *testing.M) { linktest.Main(m) }

// liveView is a view of a node with a data plane on 192.168.7.1, until the test
// ends.
func liveView(t *testing.T, s *peers.Snapshot) *View {
	t.Helper()
	linktest.Underlay(t)
	v := newView(t, s)
	here := netip.MustParseAddr("192.168.7.1")
	settings := dataplane.Settings{Lanes: 1, Port: 8285, Log: slog.New(slog.DiscardHandler)}
	plane, err := dataplane.Open(dataplane.Config{
		Settings: settings, Lease: s.Self.Lease.Prefix, Routes: v.Routes, Listen: func() (dataplane.Sockets, error) { return settings.Listen(here) },
		Link: link.Config{Name: "flannel0", Alias: "flanneld", Addr: s.Self.Lease.Prefix.Addr(), MTU: 1472, Network: plantest.Network},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		plane.Close()
		linktest.Try("ip link delete flannel0")
	})
	watcher := monitor.New(monitor.Config{
		Plane: plane, Routes: v.Routes, Snapshot: v.Snapshot, Here: func() netip.Addr { return here }, Port: 8285,
		Problems: v.Problems, Rules: ruleset.NewHub(), Crossed: func() {}, Log: settings.Log,
	})
	device := link.NewDevice("flannel0")
	wanted := plane.Link()
	device.Want(&wanted)
	v.Live = func() Live { return Live{Plane: plane, Monitor: watcher} }
	v.Check = func() []host.Finding {
		wrong, err := device.Check(t.Context())
		return []host.Finding{{Part: problem.PartDevice, Wrong: wrong, Err: err}}
	}
	return v
}

// The device is shown as it is at this moment, whatever was set up.
func TestDeviceIsShownAsItIs(t *testing.T) {
	v := liveView(t, plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2)))
	s := v.Status()
	if s.Device.State != control.DeviceUp || s.Device.Address.String() != "10.244.1.0" || s.Device.Note != "" || s.Host.Firewall != control.FirewallOK {
		t.Errorf("device %+v, host %+v", s.Device, s.Host)
	}
	if len(s.Offloads) == 0 || s.Paths.Unproven != 1 {
		t.Errorf("offloads %+v, paths %+v", s.Offloads, s.Paths)
	}
	for _, c := range []struct{ command, state, note string }{
		{"ip link set flannel0 mtu 1300", control.DeviceBroken, "MTU is 1300, not 1472"},
		{"ip link set flannel0 down", control.DeviceBroken, "device is down"},
		{"ip link delete flannel0", control.DeviceAbsent, "deleted by another program"},
	} {
		linktest.Run(t, c.command)
		s := v.Status()
		if s.Device.State != c.state || !strings.Contains(s.Device.Note, c.note) || s.OK {
			t.Errorf("%s: %+v, %+v", c.command, s.Device, s.Health)
		}
		if !slices.ContainsFunc(s.Problems, func(p control.Problem) bool { return p.Part == problem.PartDevice && strings.Contains(p.Text, c.note) }) {
			t.Errorf("%s: problems %+v", c.command, s.Problems)
		}
	}
}

// What the kernel does with packets to an address is told for this host and for
// each bridge of the lease, and with the marks that rules ask for.
func TestKernelIsAskedForEachOrigin(t *testing.T) {
	v := liveView(t, plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2)))
	linktest.Script(t, `
		ip link add docker0 type bridge
		ip address add 10.244.1.1/24 dev docker0
		ip link set docker0 up
		sysctl -qw net.ipv4.ip_forward=1
		ip rule add fwmark 0x9 priority 70 table 77
		ip route add default via 192.168.7.254 table 77`)
	t.Cleanup(func() { linktest.Script(t, "ip link delete docker0\nip rule del priority 70\nip route flush table 77") })
	told := func(address string) string {
		var all []string
		for _, k := range v.Route(netip.MustParseAddr(address)).Kernel {
			line := k.From + " by " + k.Device
			if k.InTheWay {
				line += "!"
			}
			if k.Text == "" {
				t.Errorf("%s: no words: %+v", address, k)
			}
			all = append(all, line)
		}
		return strings.Join(all, "; ")
	}
	// Marks are for packets of certain programs: they go another way here.
	if got, want := told("10.244.2.7"), "host by flannel0; docker0 by flannel0; host with mark 0x9 by eth0!; docker0 with mark 0x9 by eth0!"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	linktest.Run(t, "ip route add 10.244.2.0/25 via 192.168.7.254")
	if got := told("10.244.2.7"); !strings.HasPrefix(got, "host by eth0!; docker0 by eth0!") {
		t.Errorf("with a detour: %s", got)
	}
	if got := told("10.244.2.200"); !strings.HasPrefix(got, "host by flannel0; docker0 by flannel0") {
		t.Errorf("beside the detour: %s", got)
	}
	linktest.Run(t, "ip route replace blackhole 10.244.2.0/25")
	if got := told("10.244.2.7"); !strings.HasPrefix(got, "host by !; docker0 by !") {
		t.Errorf("with a blackhole: %s", got)
	}
	linktest.Run(t, "ip route del blackhole 10.244.2.0/25")
	// What is ours, or outside, need not go to the device.
	for _, address := range []string{"10.244.1.9", "192.0.2.1"} {
		if got := told(address); got == "" || strings.Contains(got, "!") {
			t.Errorf("%s: %s", address, got)
		}
	}
	if all := v.Route(netip.MustParseAddr("fd00::1")).Kernel; len(all) != 0 {
		t.Errorf("IPv6: %+v", all)
	}
}

// Nodes show what is proven of their paths.
func TestNodesShowTheirPaths(t *testing.T) {
	v := liveView(t, plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2), plantest.Node("c", peers.Dead, 3)))
	for _, n := range v.Nodes().Nodes {
		want := map[string]string{"host-b": control.PathUnproven, "host-a": control.PathNone, "host-c": control.PathNone}[n.Name]
		if n.Path.State != want || n.Path.Since > control.SecondsOf(time.Minute) {
			t.Errorf("%s: %+v, want %q", n.Name, n.Path, want)
		}
	}
}
