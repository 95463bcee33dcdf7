// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flanneld/internal/control"
)

var update = flag.Bool("update", false, "write the golden files anew")

// result is the outcome of a command.
type result struct {
	status   int
	out, err string
}

// flanneld runs a command line in this process, in an environment of its own.
func flanneld(t *testing.T, environ map[string]string, args ...string) result {
	t.Helper()
	return flanneldOn(t, false, environ, args...)
}

func flanneldOn(t *testing.T, terminal bool, environ map[string]string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	status := execute(t.Context(), args, env{
		out: &out, err: &errs, color: terminal,
		lookup: func(name string) (string, bool) { value, ok := environ[name]; return value, ok },
	})
	return result{status, out.String(), errs.String()}
}

// golden compares with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\ngot\n%s\nwant\n%s", path, got, want)
	}
}

// fake answers with a network that has every kind of node and problem.
type fake struct{ left, claiming, well bool }

func serve(t *testing.T, d control.Daemon) (runDir string) {
	t.Helper()
	runDir = t.TempDir()
	s, err := control.Listen(filepath.Join(runDir, "flanneld.sock"), d, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	t.Cleanup(func() {
		if err := errors.Join(s.Shutdown(context.Background()), <-done); err != nil {
			t.Error(err)
		}
	})
	return runDir
}

const (
	idAlpha = "34fvl4fdwt4ar4hk2puir6ob6q"
	idBeta  = "daqidas26spmrryj2lszxlbbcu"
	idGamma = "gk2puir6ob6q34fvl4fdwt4ar4"
)

func prefix(text string) netip.Prefix     { return netip.MustParsePrefix(text) }
func addr(text string) netip.Addr         { return netip.MustParseAddr(text) }
func addrPort(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }

func (f *fake) Status() control.Status {
	s := confirmed()
	switch {
	case f.well:
		s.Health, s.Problems, s.Conflicts = control.Health{OK: true, Summary: "ok"}, []control.Problem{}, []control.Conflict{}
	case f.claiming:
		s.Lease = claiming()
		s.Conflicts, s.Paths = []control.Conflict{}, control.Paths{}
		s.Health = control.Health{Summary: "1 problem: no lease yet: " + s.Lease.Waiting}
		s.Problems = []control.Problem{{Part: "lease", Text: "no lease yet: " + s.Lease.Waiting,
			Advice: "start the dead nodes, or strike out those that will not come back: flanneld forget " + idGamma}}
	}
	return s
}

// claiming is the lease of a node that waits for a majority.
func claiming() control.Lease {
	return control.Lease{
		State: "claiming", Waiting: "2 of the 5 lease holders promised 10.244.7.0/24, 3 are needed; no answer from gamma, zzzzzzzz", PromisedBy: []control.NodeName{},
		Claim: &control.Claim{
			Subnet: prefix("10.244.7.0/24"), Epoch: 3, Electors: 5, Needed: 3, Answered: 3,
			PromisedBy: []control.NodeName{{ID: idAlpha, Name: "alpha"}, {ID: idBeta, Name: "beta"}},
			Missing: []control.Missing{
				{NodeName: control.NodeName{ID: idGamma, Name: "gamma"}, State: "dead", Since: 7300},
				{NodeName: control.NodeName{ID: "zzzzzzzz26spmrryj2lszxlbbcu"}, State: "alive"},
			},
		},
	}
}

func confirmed() control.Status {
	return control.Status{
		Health: control.Health{Summary: "2 problems, the first: 10.244.9.0/24 is held by beta (daqidas2) and claimed by gamma (gk2puir6)"},
		Problems: []control.Problem{
			{Part: "conflict", Text: "10.244.9.0/24 is held by beta (daqidas2) and claimed by gamma (gk2puir6)", Advice: "run `flanneld leave` on gamma (gk2puir6), and start it again", Since: 61},
			{Part: "path", Text: "data path to beta (daqidas2) at 192.168.1.2:8285 does not work: packets come from it, but it does not answer", Advice: "open UDP port 8285 on beta (daqidas2) for 198.51.100.1"},
		},
		Paths:   control.Paths{Works: 1, SmallOnly: 1, Failed: 1, Unproven: 1},
		Version: "1.2.3", PID: 4711, Uptime: 90061.5,
		Node:    control.NodeName{ID: idAlpha, Name: "alpha"},
		Network: control.Network{ID: "c601936abc4f087a", Prefix: prefix("10.244.0.0/16"), SubnetLen: 24, SubnetMin: addr("10.244.1.0"), SubnetMax: addr("10.244.255.0")},
		Lease: control.Lease{State: "confirmed", Subnet: prefix("10.244.7.0/24"), Epoch: 2, Pinned: true, Electors: 3, Promises: 2,
			PromisedBy: []control.NodeName{{ID: idBeta, Name: "beta"}, {ID: idGamma, Name: "gamma"}}, Age: 3700},
		Device:   control.Device{Name: "flannel0", State: control.DeviceUp, Address: addr("10.244.7.0"), MTU: 1472},
		Underlay: control.Underlay{Interface: "eth0", Address: addr("192.168.1.1"), PublicAddress: addr("198.51.100.1"), MTU: 1500},
		Endpoint: addrPort("198.51.100.1:8285"), Gossip: addrPort("198.51.100.1:8286"),
		Security: control.Security{GossipSealed: true, Note: "packets travel in the clear", Sealing: control.Sealing{Rejected: map[string]uint64{}}},
		Lanes:    2, Offloads: []control.Offload{{Name: "tun-csum", Used: true}, {Name: "udp-gso", Note: "switched off"}},
		Members: control.Members{Alive: 2, Dead: 1, Static: 1},
		Backend: control.Backend{Names: []string{"host-gw", "vxlan", "ipip", "udp"}, Paths: []control.BackendPath{
			{Path: "direct", Peers: 1}, {Path: "vxlan"}, {Path: "ipip", Unavailable: "the kernel has no module ipip"}, {Path: "udp", Peers: 1},
		}},
		Shortcut: control.Shortcut{Setting: "auto", Ready: true, Pinned: true, Peers: 1, Egress: control.Traffic{Packets: 1234000, Bytes: 1_849_000_000},
			Ingress: control.Traffic{Packets: 2, Bytes: 99}, Left: map[string]uint64{"egress-fragment": 3, "egress-too-long": 1},
			Notes: []string{"docker0: bridge-nf-call-iptables is on, so superpackets take user space"}},
		Egress: control.Traffic{Packets: 1234567, Bytes: 1_850_000_000}, Ingress: control.Traffic{Packets: 12, Bytes: 999},
		Drops: map[string]uint64{"egress-no-route": 3, "ingress-unknown-sender": 40, "ingress-too-short": 3},
		Host: control.Host{IPForward: true, IPForwardChanged: true, Firewall: control.FirewallOK, FirewallRepairs: 1, DeviceRepairs: 1,
			SubnetFile: "/run/flannel/subnet.env", DockerFile: "/run/flannel/docker", ReadyAfter: 0.25,
			Repairs: map[string]uint64{"firewall": 1, "device": 1, "ports": 0}},
		Conflicts: []control.Conflict{{Subnet: prefix("10.244.9.0/24"), Winner: control.NodeName{ID: idBeta, Name: "beta"}, Loser: control.NodeName{ID: idGamma, Name: "gamma"}, Since: 61}},
		Threads:   []control.Thread{{CPU: 12.5, Policy: "other", Nice: -10}, {Express: true, CPU: 0.25, Policy: "rr", Priority: 2}},
		Answers:   control.ICMPAnswers{Sent: 3, Suppressed: 1},
		Arrived:   map[string]control.Traffic{"vxlan": {Packets: 100, Bytes: 150_000}},
		Refused:   map[string]control.Traffic{"vxlan": {Packets: 3, Bytes: 300}},
		Probes: []control.Probes{{Path: "udp", Sent: 107, Answered: 85, Lost: 20, RTT: 0.034,
			RoundTrips: []control.RoundTrips{{UpTo: 0.0005, Count: 80}, {UpTo: 0.001, Count: 4}, {Count: 1}}}},
		PathChanges:   map[string]uint64{"vxlan": 2, "udp": 1},
		GossipTraffic: control.GossipTraffic{DatagramsSent: 900, DatagramBytesSent: 99_000, StreamBytesReceived: 12_000, QueuedMessages: 2, QueuedBytes: 600, Dropped: 4, Lag: 0.75},
		Tables:        []control.Table{{Name: "nodes", Used: 3, Limit: 8192}, {Name: "forgotten", Limit: 1024}},
		Readiness:     control.Readiness{Missing: []string{"no data path to another node is proven: packets reach 0 of 2"}},
		Metrics:       control.Metrics{Address: addrPort("192.168.1.1:8287"), Exposed: true},
		Process:       control.Process{Goroutines: 28, Descriptors: 16, Memory: 17_305_600},
	}
}

func (f *fake) Nodes() control.Nodes {
	return control.Nodes{Health: f.Status().Health, Nodes: []control.Node{
		{ID: idAlpha, Name: "alpha", State: "alive", Self: true, Since: 100, Paths: []control.NodePath{}, Subnet: prefix("10.244.7.0/24"), Epoch: 2, Pinned: true, LeaseAge: 3700,
			Endpoint: addrPort("198.51.100.1:8285"), Gossip: addrPort("198.51.100.1:8286"), MTU: 1472, Capabilities: []string{"udp/1"}, Start: 3},
		{ID: idBeta, Name: "beta", State: "alive", Since: 90, Subnet: prefix("10.244.9.0/24"), Epoch: 1, LeaseAge: 90, Electors: 3, Promises: 2,
			Conflict: "10.244.9.0/24 is claimed by gamma, too", Endpoint: addrPort("192.168.1.2:8285"),
			Gossip: addrPort("192.168.1.2:8286"), MTU: 1472, PathMTU: 1372, RTT: 0.000345, Capabilities: []string{"udp/1", "77/0a"}, Start: 1,
			Paths: []control.NodePath{
				{Path: "direct", State: control.PathImpossible, Why: "behind router 192.168.1.254"},
				{Path: "vxlan", State: control.PathFailed, Why: "probes are not answered", Sent: 12, Lost: 3, MTU: 1450},
				{Path: "udp", State: control.PathFailed, Used: true, RTT: 0.0004, Sent: 100, Lost: 20, Size: 1372, MTU: 1372,
					Shortcut: control.NodeShortcut{State: control.PathFailed, Why: "probes are not answered", RTT: 0.0003, Sent: 30, Lost: 3}},
			},
			Path:   control.Path{State: control.PathFailed, Since: 75, RTT: 0.0004, Sent: 100, Lost: 20, Size: 1372, Note: "packets come from it, but it does not answer"},
			Egress: control.Traffic{Packets: 10, Bytes: 15000}, Ingress: control.Traffic{Packets: 9, Bytes: 999}},
		// A name that would clear the screen.
		{ID: idGamma, Name: "gamma\x1b[2J", State: "dead", Since: 7300, Endpoint: addrPort("192.168.1.3:8285"), Capabilities: []string{}, Paths: []control.NodePath{}},
		{Name: "192.168.1.9", State: control.StateStatic, Subnet: prefix("10.244.200.0/24"), Endpoint: addrPort("192.168.1.9:8285"), Capabilities: []string{},
			Path: control.Path{State: control.PathWorks, RTT: 0.00051, Sent: 7, Size: 1472}, Note: "not used: beta holds 10.244.200.0/24",
			Paths: []control.NodePath{{Path: "udp", State: control.PathWorks, Used: true, RTT: 0.00051, Sent: 7, Size: 1472, MTU: 1472,
				Shortcut: control.NodeShortcut{Used: true, State: control.PathWorks, RTT: 0.0001, Sent: 9, Egress: control.Traffic{Packets: 7, Bytes: 700}}}}},
		{Name: "192.168.1.8", State: control.StateStatic, Subnet: prefix("10.244.201.0/24"), Endpoint: addrPort("192.168.1.8:0"), Capabilities: []string{},
			Note:  "no path leads to it: direct (behind router 192.168.1.254)",
			Paths: []control.NodePath{{Path: "direct", State: control.PathImpossible, Why: "behind router 192.168.1.254", MTU: 1472}}},
	}}
}

func (f *fake) Route(a netip.Addr) control.Route {
	if a == addr("10.244.250.1") {
		return control.Route{Address: a, Kind: control.RouteNone, Reason: "no node holds a subnet with this address", Paths: []control.NodePath{}, Kernel: []control.KernelRoute{}}
	}
	return control.Route{Address: a, Kind: control.RouteVia, Prefix: prefix("10.244.9.0/24"), Node: control.NodeName{ID: idBeta, Name: "beta"},
		State: "alive", Endpoint: addrPort("192.168.1.2:8285"), Path: "vxlan", MTU: 1372, Reason: "the node holds the lease and is alive; by vxlan; not direct (behind router 192.168.1.254)",
		Paths: []control.NodePath{
			{Path: "direct", State: control.PathImpossible, Why: "behind router 192.168.1.254"},
			{Path: "vxlan", State: control.PathWorks, Used: true, RTT: 0.0002, Sent: 12, Size: 1372, MTU: 1372},
			{Path: "udp", State: control.PathWorks, RTT: 0.0004, Sent: 100, Size: 1372, MTU: 1372},
		},
		Kernel: []control.KernelRoute{
			{From: "host", Device: "flannel0", Text: "dev flannel0, by 10.244.0.0/16 in table main"},
			{From: "docker0", Device: "eth1", Text: "dev eth1, by 10.244.9.0/24 in table 100, rule 1000", InTheWay: true},
		}}
}

func (f *fake) CheckAddress(string) error { return nil }

func (f *fake) Join(_ context.Context, addresses []string) (control.Joined, error) {
	j := control.Joined{Joined: []string{}}
	for _, a := range addresses {
		if strings.HasPrefix(a, "bad") {
			j.Failed += a + ": no node answers\n"
		} else {
			j.Joined = append(j.Joined, a)
		}
	}
	return j, nil
}

func (f *fake) Leave(context.Context) (control.Left, error) {
	f.left = true
	return control.Left{Subnet: prefix("10.244.7.0/24"), Notes: []string{}}, nil
}

func (f *fake) Forget(_ context.Context, node string) (control.Node, error) {
	if node != "gamma" {
		return control.Node{}, errors.New("node " + node + " is alive: run `flanneld leave` there")
	}
	return control.Node{ID: idGamma, Name: "gamma", Subnet: prefix("10.244.3.0/24")}, nil
}

// Trace loses what goes to 10.244.9.9.
func (f *fake) Trace(_ context.Context, r control.TraceRequest) (control.Traced, error) {
	if !prefix("10.244.0.0/16").Contains(r.Address) {
		return control.Traced{}, errors.New(r.Address.String() + " is not in the network 10.244.0.0/16: the host's own routing decides")
	}
	t := control.Traced{
		Address: r.Address, From: addr("10.244.7.254"), Bridge: "docker0", Node: control.NodeName{ID: idBeta, Name: "beta"}, Path: "udp",
		Arrived: r.Address != addr("10.244.9.9"), LastSeen: "container", Verdict: "arrived: " + r.Address.String() + " answers after 410µs", Hints: []control.Problem{},
	}
	for i, name := range control.TraceStations {
		t.Stations = append(t.Stations, control.TraceStation{Name: name, Text: "text of " + name, Proven: t.Arrived || i < 3, RTT: control.Seconds(i%3) / 10_000})
	}
	if !t.Arrived {
		t.LastSeen, t.Verdict, t.Advice = "flanneld", "lost between this flanneld and the kernel of beta", "flanneld ping beta"
		t.Hints = append(t.Hints, control.Problem{Part: "path", Text: "data path to beta does not work", Advice: "open UDP port 8285 on beta"})
	}
	return t, nil
}

// Events waits as a daemon does, once the caller has them all.
func (f *fake) Events(ctx context.Context, after uint64) control.Events {
	at := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	all := []control.Event{
		{ID: 1, Seq: 1, Time: at, First: at, Count: 1, Kind: control.EventDaemon, What: "started", Text: "flanneld 1.2.3 is started"},
		{ID: 2, Seq: 2, Time: at.Add(time.Second), First: at.Add(time.Second), Count: 1, Kind: control.EventMember, What: "up",
			Node: control.NodeName{ID: idBeta, Name: "beta"}, Prefix: prefix("10.244.9.0/24"), Text: "beta is up\x1b[2J", Why: "it is new to this node"},
		{ID: 3, Seq: 9, Time: at.Add(time.Hour), First: at.Add(59 * time.Minute), Count: 7, Kind: control.EventRepair, What: "restored",
			Subject: "firewall", Text: "firewall restored: FORWARD -i flannel0 -j ACCEPT", Why: "changed by nft"},
	}
	for len(all) > 0 && all[0].Seq <= after {
		all = all[1:]
	}
	if len(all) == 0 {
		<-ctx.Done()
	}
	return control.Events{Events: all}
}

func (f *fake) Ping(_ context.Context, node, path string, count, size int) (control.Pinged, error) {
	if node == "gamma" {
		return control.Pinged{}, errors.New("gamma (gk2puir6) is not reached: the node holds the lease and is dead")
	}
	all := []control.PingedPath{
		{Path: "direct", Why: "behind router 192.168.1.254", MTU: 1450},
		{Path: "vxlan", Used: true, Sent: count, Received: count, Min: 0.00011, Avg: 0.000154, Max: 0.0003, Largest: 1450, MTU: 1450},
		{Path: "udp", Why: "vxlan is preferred", Sent: count, Received: count - 1, Min: 0.0002, Avg: 0.0002, Max: 0.0002, Largest: max(64, size), MTU: 1450},
		{Path: "ipip", Why: "probes are not answered", Sent: count, MTU: 1450},
	}
	p := control.Pinged{Node: control.NodeName{ID: idBeta, Name: "beta"}, State: "alive", Subnet: prefix("10.244.9.0/24"), Reason: "the node holds the lease and is alive; by vxlan"}
	for _, one := range all {
		if path == "" || one.Path == path {
			if f.well || !one.Used {
				p.Paths = append(p.Paths, one)
			} else {
				p.Paths = append(p.Paths, control.PingedPath{Path: one.Path, Used: true, Sent: count, MTU: one.MTU})
			}
		}
	}
	return p, nil
}

func (f *fake) Shortcut(_ context.Context, on bool) (control.Shortcut, error) {
	if on {
		return confirmed().Shortcut, nil
	}
	return control.Shortcut{Setting: "off", Why: "off (flanneld shortcut off)", Left: map[string]uint64{}, Notes: []string{}}, nil
}

func (f *fake) Examine(context.Context) (control.Examined, error) {
	beta := control.ExaminedNode{
		NodeName: control.NodeName{ID: idBeta, Name: "beta"}, State: "alive", Answered: true, UDPThere: true, UDPBack: true, TCPThere: true, TCPBack: true,
		Version: "0.3.0", Path: control.PathWorks, ClockAhead: 0.001, ClockWithin: 0.0002,
	}
	if !f.well {
		beta.UDPBack, beta.ClockAhead, beta.Version = false, -90, "0.2.0"
	}
	gamma := control.ExaminedNode{NodeName: control.NodeName{ID: idGamma, Name: "gamma"}, State: "dead", Dial: "dial tcp 192.168.1.30:8286: connect: connection refused"}
	return control.Examined{Nodes: []control.ExaminedNode{gamma, beta}, Of: 2}, nil
}

func controlSeconds(s float64) control.Seconds { return control.Seconds(s) }
