// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

func TestCommandsShowTheNetworkAsTableAndJSON(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, h3 := l.Trio()
	h1.Pod().Reachable(t, h2.Pod().Addr, 5*time.Second)

	status := h1.MustFlanneld("status")
	mentions(t, "status", status, "host1", h1.Lease().String(), "flannel0", "confirmed", "192.168.50.11")
	nodes := h1.MustFlanneld("nodes")
	for _, h := range []*lab.Host{h1, h2, h3} {
		mentions(t, "nodes", nodes, h.NodeName, "alive", h.Lease().String(), h.Addr.String()+":8285")
	}
	table, err := h1.Nodes()
	if err != nil {
		t.Fatal(err)
	}
	if peer := table.Find("host2"); peer.Egress.Packets == 0 || peer.Ingress.Packets == 0 || peer.Self || peer.ID == "" {
		t.Errorf("after a ping the node table has %+v", peer)
	}
	if !table.Find("host1").Self {
		t.Error("host1 does not know itself")
	}
	s := h1.Status()
	if s.Members.Alive != 3 || s.Egress.Packets == 0 || s.Ingress.Packets == 0 || s.Device.State != "up" || s.Device.Name != "flannel0" {
		t.Errorf("status: %+v", s)
	}
}

func TestRouteGetSaysWhichNextHopAndWhy(t *testing.T) {
	t.Parallel()
	_, h1, h2 := duo(t)
	route := func(address string) (r lab.Route) {
		if err := h1.JSON(&r, "route", "get", address); err != nil {
			t.Error(err)
		}
		if r.Reason == "" {
			t.Errorf("route get %s gives no reason", address)
		}
		return r
	}
	remote := h2.Lease().Addr().Next().Next()
	if r := route(remote.String()); r.Kind != "via" || r.Node.Name != "host2" || r.Prefix != h2.Lease().String() || r.Endpoint != "192.168.50.12:8285" {
		t.Errorf("to a container of host2: %+v", r)
	}
	if r := route(h1.Lease().Addr().Next().String()); r.Kind != "local" {
		t.Errorf("to a container here: %+v", r)
	}
	if r := route(unheld(h1, h2).String()); r.Kind != "none" {
		t.Errorf("to a subnet without a holder: %+v", r)
	}
	if r := route("8.8.8.8"); r.Kind != "outside" {
		t.Errorf("out of the network: %+v", r)
	}
	mentions(t, "route get", h1.MustFlanneld("route", "get", remote.String()), "host2", h2.Lease().String())
}

func TestJoinTellsARunningDaemonMoreAddresses(t *testing.T) {
	t.Parallel()
	l, h1 := founder(t)
	h2 := l.Host()
	d := h2.Start("--join", "192.168.50.250") // no node there
	d.WaitLog("192.168.50.250", ready)
	if h2.SubnetFile() != nil {
		t.Fatal("a node that was told to join has founded a network")
	}
	out := h2.MustFlanneld("join", h1.Addr.String())
	mentions(t, "join", out, h1.Addr.String())
	d.WaitReady(ready)
	l.WaitConverged(2)
	if r := h2.Flanneld("join", "192.168.50.251"); r.Status != 1 {
		t.Errorf("join of an address without a node: exit status %d, %s", r.Status, r.Stderr)
	} else {
		clearError(t, r.Stderr, "192.168.50.251")
	}
}

func TestLeaveHandsTheLeaseBackAndRemovesEverything(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, h3 := l.Trio()
	freed := h2.Lease()
	mentions(t, "leave", h2.MustFlanneld("leave"), freed.String())
	if status := h2.Daemon.WaitEnd(5 * time.Second); status != 0 {
		t.Errorf("exit status %d after leave", status)
	}
	nothingSetUp(t, h2)
	for _, h := range []*lab.Host{h1, h3} {
		lab.Eventually(t, 10*time.Second, h.NodeName+" to see the subnet free", func() error {
			nodes, err := h.Nodes()
			if err != nil {
				return err
			}
			node := nodes.Find("host2")
			return lab.Expect((node.State == "left" || node.State == "") && node.Subnet != freed.String(), "%+v", node)
		})
	}
	// Its subnet is free: another node may pin it.
	h4 := l.Host()
	h4.Start("--join", h1.Addr.String(), "--subnet", freed.String()).WaitReady(ready)
	h1.Pod().Reachable(t, h4.Pod().Addr, 5*time.Second)
	// The node that left returns with another lease.
	h2.Start("--join", h1.Addr.String()).WaitReady(ready)
	if h2.Lease() == freed {
		t.Errorf("%v is held twice", freed)
	}
}

func TestForgetRemovesADeadNode(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, h3 := l.Trio()
	if r := h1.Flanneld("forget", "host3"); r.Status != 1 {
		t.Errorf("forget of a live node: exit status %d", r.Status)
	} else {
		clearError(t, r.Stderr, "host3", "alive")
	}
	if r := h1.Flanneld("forget", "host1"); r.Status != 1 {
		t.Errorf("forget of itself: exit status %d, %s", r.Status, r.Stderr)
	}
	if r := h1.Flanneld("forget", "nobody"); r.Status != 1 {
		t.Errorf("forget of an unknown node: exit status %d", r.Status)
	} else {
		clearError(t, r.Stderr, "nobody")
	}
	freed := h3.Lease()
	h3.Daemon.Kill()
	h1.WaitState("host3", "dead", 30*time.Second)
	h2.WaitState("host3", "dead", 30*time.Second)
	mentions(t, "forget", h1.MustFlanneld("forget", "host3"), "host3", freed.String())
	h4 := l.Host()
	h4.Start("--join", h2.Addr.String(), "--subnet", freed.String()).WaitReady(ready)
	if h4.Lease() != freed {
		t.Errorf("host4 has %v", h4.Lease())
	}
	// The removed node returns, and must not take its old subnet.
	h3.Start("--join", h1.Addr.String())
	lab.Eventually(t, 2*ready, "host3 to give up what it had", func() error {
		if h3.Daemon.Ended() { // Restart=on-failure of the unit
			h3.Start("--join", h1.Addr.String())
		}
		subnet := ""
		if nodes, err := h1.Nodes(); err == nil {
			subnet = nodes.Find("host3").Subnet
		}
		return lab.Expect(h3.SubnetFile() != nil && h3.Lease() != freed && subnet == h3.Lease().String(), "host1 lists %q", subnet)
	})
}

func TestCleanupRemovesWhatAKilledDaemonLeft(t *testing.T) {
	t.Parallel()
	_, h := founder(t, "--ip-masq")
	if r := h.Flanneld("cleanup"); r.Status != 1 {
		t.Errorf("cleanup beside a running daemon: exit status %d", r.Status)
	} else {
		clearError(t, r.Stderr, "running")
	}
	h.Pod().Reachable(t, h.Lease().Addr().Next(), time.Second)
	h.Daemon.Kill()
	if !strings.Contains(h.Exec(t, "ip", "route"), "flannel0") {
		t.Error("the route did not stay")
	}
	h.MustFlanneld("cleanup")
	nothingSetUp(t, h)
	h.MustFlanneld("cleanup") // safe to repeat
	if !exists(h.StateDir) || len(entries(t, h.StateDir)) == 0 {
		t.Error("cleanup removed the lease's state")
	}
}

func entries(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestDockerOptsDoesWhatFlannelsScriptDoes(t *testing.T) {
	t.Parallel()
	h := lab.New(t).Host()
	env := filepath.Join(h.RunDir, "subnet.env")
	text := "FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.5.1/24\nFLANNEL_MTU=1400\nFLANNEL_IPMASQ=true\n"
	if err := os.WriteFile(env, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	const single = "DOCKER_OPT_BIP=\"--bip=10.1.5.1/24\"\nDOCKER_OPT_IPMASQ=\"--ip-masq=false\"\nDOCKER_OPT_MTU=\"--mtu=1400\"\n"
	const all = "DOCKER_OPTS=\" --bip=10.1.5.1/24 --ip-masq=false --mtu=1400\"\n"
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"both by default", nil, single + all},
		{"individual", []string{"-i"}, single},
		{"combined", []string{"-c"}, all},
		{"another key", []string{"-c", "-k", "OPTS"}, strings.Replace(all, "DOCKER_OPTS", "OPTS", 1)},
		{"without masquerading", []string{"-c", "-m"}, "DOCKER_OPTS=\" --bip=10.1.5.1/24 --mtu=1400\"\n"},
	} {
		out := filepath.Join(h.RunDir, "opts")
		h.MustFlanneld(append([]string{"docker-opts", "-f", env, "-d", out}, c.args...)...)
		if got := read(t, out); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	r := h.Flanneld("docker-opts", "-f", filepath.Join(h.RunDir, "nothing"), "-d", filepath.Join(h.RunDir, "x"))
	if r.Status != 1 {
		t.Errorf("docker-opts without the file: exit status %d", r.Status)
	}
	clearError(t, r.Stderr, "nothing")
}

func TestKeygenMakesANewKeyEachTime(t *testing.T) {
	t.Parallel()
	h := lab.New(t).Host()
	first, second := h.MustFlanneld("keygen"), h.MustFlanneld("keygen")
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(first))
	if err != nil || len(key) != 32 || first == second {
		t.Errorf("keys %q and %q: %v", first, second, err)
	}
}

func TestVersionCompletionAndHelp(t *testing.T) {
	t.Parallel()
	h := lab.New(t).Host()
	mentions(t, "version", h.MustFlanneld("version"), "flanneld")
	for _, shell := range []string{"bash", "zsh", "fish"} {
		mentions(t, "completion", h.MustFlanneld("completion", shell), "flanneld")
	}
	help := h.MustFlanneld("help")
	for _, command := range []string{"run", "join", "leave", "forget", "status", "nodes", "route", "docker-opts", "keygen", "cleanup", "version", "completion"} {
		mentions(t, "help", help, command)
		mentions(t, "help of "+command, h.MustFlanneld("help", command), "flanneld "+command)
	}
	mentions(t, "help of run", h.MustFlanneld("run", "--help"), "--network", "--subnet-len", "--join", "--iface", "--port",
		"--gossip-port", "--node-name", "--state-dir", "--run-dir", "--device", "--mtu", "--ip-masq", "--lease-ttl",
		"--key-file", "--sealed", "--static-peer", "--lanes", "--realtime", "--offload", "--on-conflict", "--log-level", "--log-format")
}

func TestWrongCommandLinesEndWithStatusTwo(t *testing.T) {
	t.Parallel()
	h := lab.New(t).Host()
	for _, c := range []struct {
		args  []string
		words []string
	}{
		{[]string{"rum"}, []string{"rum"}},
		{[]string{"run", "--netwrok", "10.0.0.0/8"}, []string{"--netwrok"}},
		{[]string{"run", "extra"}, []string{"extra"}},
		{[]string{"run", "--network", "10.244.0.0"}, []string{"--network", "10.244.0.0"}},
		{[]string{"run", "--network", "10.244.0.1/16"}, []string{"--network", "10.244.0.0/16"}},
		{[]string{"run", "--subnet-len", "17"}, []string{"--subnet-len", "17"}},
		{[]string{"run", "--subnet-len", "31"}, []string{"--subnet-len", "31"}},
		{[]string{"run", "--subnet", "10.9.0.0/24"}, []string{"--subnet", "10.9.0.0/24", "10.244.0.0/16"}},
		{[]string{"run", "--port", "70000"}, []string{"--port", "70000"}},
		{[]string{"run", "--join", "no such host"}, []string{"--join", "no such host"}},
		{[]string{"run", "--mtu", "12"}, []string{"--mtu", "12"}},
		{[]string{"run", "--log-level", "loud"}, []string{"--log-level", "loud"}},
		{[]string{"run", "--static-peer", "10.244.9.0/24"}, []string{"--static-peer"}},
		{[]string{"run", "--static-peer", "10.9.9.0/24=192.168.50.9:8285"}, []string{"--static-peer", "10.9.9.0/24"}},
		{[]string{"route", "get", "10.244.1"}, []string{"10.244.1"}},
		{[]string{"route", "get"}, []string{"route get"}},
		{[]string{"join"}, []string{"join"}},
		{[]string{"forget"}, []string{"forget"}},
		{[]string{"status", "-o", "xml"}, []string{"xml"}},
	} {
		r := h.Flanneld(c.args...)
		if r.Status != 2 {
			t.Errorf("flanneld %s: exit status %d, want 2: %s", strings.Join(c.args, " "), r.Status, r.Stderr)
		}
		if r.Stdout != "" {
			t.Errorf("flanneld %s prints to standard output: %s", strings.Join(c.args, " "), r.Stdout)
		}
		clearError(t, r.Stderr, c.words...)
	}
	nothingSetUp(t, h)
}

func TestEnvironmentAtFaultIsNamed(t *testing.T) {
	t.Parallel()
	h := lab.New(t).Host()
	cmd := h.Command("run")
	cmd.Env = append(cmd.Env, "FLANNELD_SUBNET_LEN=ninety")
	r := h.RunCommand(t, cmd)
	if r.Status != 2 {
		t.Errorf("exit status %d", r.Status)
	}
	clearError(t, r.Stderr, "FLANNELD_SUBNET_LEN", "ninety")
}

func TestCommandsWithoutADaemonSayHowToStartOne(t *testing.T) {
	t.Parallel()
	h := lab.New(t).Host()
	for _, args := range [][]string{{"status"}, {"nodes"}, {"join", "192.168.50.1"}, {"leave"}, {"forget", "x"}, {"route", "get", "10.244.1.1"}} {
		r := h.Flanneld(args...)
		if r.Status != 1 {
			t.Errorf("%v: exit status %d", args, r.Status)
		}
		clearError(t, r.Stderr, "flanneld run")
	}
}

func TestJSONIsOneDocumentWithStableFields(t *testing.T) {
	t.Parallel()
	_, h := founder(t)
	for command, fields := range map[string][]string{
		"status": {"version", "uptime_seconds", "node", "network", "lease", "device", "underlay", "endpoint", "gossip", "security",
			"lanes", "offloads", "members", "egress", "ingress", "drops", "host", "conflicts", "process"},
		"nodes":   {"nodes"},
		"version": {"version"},
	} {
		var document map[string]any
		if err := json.Unmarshal([]byte(h.MustFlanneld(command, "-o", "json")), &document); err != nil {
			t.Errorf("%s -o json: %v", command, err)
		}
		for _, field := range fields {
			if _, ok := document[field]; !ok {
				t.Errorf("%s -o json has no %q: %s", command, field, fmt.Sprint(document))
			}
		}
	}
}
