// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/host"
	"flanneld/internal/problem"
)

// fake is a daemon that answers what a test sets.
type fake struct {
	status   control.Status
	asked    int    // how often status was
	strange  uint64 // datagrams from no node that come between two statuses
	nodes    control.Nodes
	ping     control.PingedPath
	examined control.Examined

	statusErr, nodesErr, pingErr, examineErr error
}

func (f *fake) Status(context.Context) (control.Status, error) {
	s := f.status
	s.Drops = map[string]uint64{unknownSender: 100 + uint64(f.asked)*f.strange}
	f.asked++
	return s, f.statusErr
}

func (f *fake) Nodes(context.Context) (control.Nodes, error) { return f.nodes, f.nodesErr }

func (f *fake) Ping(_ context.Context, r control.PingRequest) (control.Pinged, error) {
	paths := []control.PingedPath{f.ping}
	if f.ping.Path == "" {
		paths = nil
	}
	return control.Pinged{Node: control.NodeName{Name: r.Node}, Reason: "none is proven", Paths: paths}, f.pingErr
}

func (f *fake) Examine(context.Context) (control.Examined, error) { return f.examined, f.examineErr }

// well is a node with two others, without a fault.
func well() *fake {
	beta := control.ExaminedNode{
		NodeName: control.NodeName{ID: "betaid", Name: "beta"}, State: "alive", Answered: true, UDPThere: true, UDPBack: true, TCPThere: true, TCPBack: true,
		Version: "1.0", Path: control.PathWorks, ClockAhead: -1.9, ClockWithin: 0.001,
	}
	f := &fake{
		ping:     control.PingedPath{Path: "udp", Used: true, Sent: 3, Received: 3, Avg: 0.0004, Largest: 1472, MTU: 1472},
		examined: control.Examined{Nodes: []control.ExaminedNode{beta}, Of: 1},
	}
	f.status.Version, f.status.Readiness, f.status.Lease.State = "1.0", control.Readiness{Ready: true, Missing: []string{}}, "confirmed"
	f.status.Underlay.Interface, f.status.Backend.Paths = "eth0", []control.BackendPath{{Path: "direct"}, {Path: "udp"}}
	f.status.Endpoint, f.status.Gossip = netip.MustParseAddrPort("192.0.2.1:8285"), netip.MustParseAddrPort("192.0.2.1:8286")
	f.nodes.Nodes = []control.Node{
		{ID: "alphaid", Name: "alpha", Self: true, State: "alive"},
		{ID: "betaid", Name: "beta", State: "alive", Subnet: netip.MustParsePrefix("10.244.2.0/24"), Path: control.Path{State: control.PathWorks},
			Endpoint: netip.MustParseAddrPort("192.0.2.2:8285"), Gossip: netip.MustParseAddrPort("192.0.2.2:8286")},
	}
	return f
}

// scene is a host in a directory, with a daemon.
type scene struct {
	t    *testing.T
	fake *fake
	o    Options
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{t, well(), Options{
		Version: "1.0", Config: config.Config{
			StateDir: "/var/lib/flanneld", RunDir: "/run/flannel", Device: "flannel-none", Port: 8285, GossipPort: 8286,
			Backend: config.Backend{config.PathDirect, config.PathUDP}, Iface: []string{"127.0.0.1"}, Network: netip.MustParsePrefix("10.244.0.0/16"),
		},
		SettingsFile: "/etc/default/flanneld", DockerHost: "unix:///run/docker.sock", Root: true, Files: t.TempDir(),
		Check:    func(context.Context) ([]host.Finding, error) { return nil, errors.New("no subnet.env") },
		Shortcut: func() (string, bool) { return "", false },
	}}
	s.o.Client = s.fake
	for path, content := range map[string]string{
		"/proc/sys/kernel/osrelease": "6.12.9-amd64\n", "/proc/sys/net/ipv4/ip_forward": "1\n",
		"/proc/sys/net/ipv4/conf/all/rp_filter": "0\n", "/proc/sys/net/ipv4/conf/eth0/rp_filter": "2\n",
		"/proc/sys/net/netfilter/nf_conntrack_count": "10\n", "/proc/sys/net/netfilter/nf_conntrack_max": "100\n",
		"/sys/module/nf_tables/version": "", "/lib/modules/6.12.9-amd64/modules.dep": "kernel/drivers/net/vxlan/vxlan.ko.xz: kernel/net/ipv4/udp_tunnel.ko.xz\n",
		"/var/lib/flanneld/identity": "", "/run/flannel/docker": "DOCKER_OPT_BIP=\"--bip=10.244.1.1/24\"\n",
		"/run/flannel/subnet.env":             "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n",
		"/etc/cni/net.d/10-flanneld.conflist": `{"name":"x","plugins":[{"type":"flanneld-cni"},{"type":"portmap"}]}`,
		"/opt/cni/bin/flanneld-cni":           "", "/usr/lib/cni/bridge": "", "/usr/lib/cni/host-local": "",
	} {
		s.write(path, content)
	}
	return s
}

func (s *scene) write(path, content string) {
	s.t.Helper()
	path = s.o.Files + path
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) remove(path string) {
	s.t.Helper()
	if err := os.RemoveAll(s.o.Files + path); err != nil {
		s.t.Fatal(err)
	}
}

// stop takes the daemon away.
func (s *scene) stop() { s.fake.statusErr = control.ErrNoDaemon }

// seen are the names of all checks that the tests have met, by group.
var seen = map[string]bool{}

func examine(t *testing.T, s *scene) control.Doctor {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	d := Examine(ctx, s.o)
	for _, c := range d.Checks {
		seen[c.Group+" "+c.Name] = true
		if c.Text == "" || strings.ContainsAny(c.Text+c.Advice, "\n\t") || (c.Verdict == control.CheckOK) != (c.Advice == "") {
			t.Errorf("%+v", c)
		}
	}
	return d
}

func find(d control.Doctor, name, verdict string, words ...string) error {
	var bad []string
	for _, c := range d.Checks {
		if c.Verdict != control.CheckOK {
			bad = append(bad, fmt.Sprintf("%s %s: %s -> %s", c.Verdict, c.Name, c.Text, c.Advice))
		}
		all := c.Name == name && c.Verdict == verdict
		for _, word := range words {
			all = all && strings.Contains(c.Text+" -> "+c.Advice, word)
		}
		if all {
			return nil
		}
	}
	return fmt.Errorf("no %s %s with %q; what is not ok:\n%s", verdict, name, words, strings.Join(bad, "\n"))
}

// Each fault has its line, with what to type.
func TestFaultsAreFound(t *testing.T) {
	const warning, broken, skipped = control.CheckWarning, control.CheckBroken, control.CheckSkipped
	beta := func(f *fake) *control.ExaminedNode { return &f.examined.Nodes[0] }
	for fault, c := range map[string]struct {
		do            func(*scene)
		name, verdict string
		words         []string
	}{
		"no daemon":                      {(*scene).stop, "running", broken, []string{"systemctl start flanneld"}},
		"a user that may not ask":        {func(s *scene) { s.fake.statusErr = errors.New("x: permission denied") }, "running", skipped, []string{"sudo"}},
		"a daemon that hangs":            {func(s *scene) { s.fake.statusErr = errors.New("did not answer in time") }, "running", broken, []string{"journalctl", "restart"}},
		"an older daemon":                {func(s *scene) { s.fake.status.Version = "0.9" }, "version", warning, []string{"0.9", "systemctl restart flanneld"}},
		"a daemon without the question":  {func(s *scene) { s.fake.examineErr = control.ErrOlder }, "gossip port", skipped, []string{"older than this program", "systemctl restart flanneld"}},
		"not ready":                      {func(s *scene) { s.fake.status.Readiness = control.Readiness{Missing: []string{"no lease"}} }, "ready", broken, []string{"no lease"}},
		"a node table that is not given": {func(s *scene) { s.fake.nodesErr = errors.New("x") }, "nodes", skipped, nil},

		"a setting that cannot be": {func(s *scene) { s.o.SettingsErr = errors.New("FLANNELD_PORT=x: no port") }, "settings", broken, []string{"FLANNELD_PORT", "/etc/default/flanneld"}},
		"a setting that is none":   {func(s *scene) { s.o.Unknown = []string{"FLANNELD_NETWROK"} }, "settings", warning, []string{"FLANNELD_NETWROK"}},
		"settings that are secret": {func(s *scene) { s.o.Root, s.o.SettingsRead = false, fs.ErrPermission }, "settings", skipped, []string{"sudo"}},
		"a key that is missing":    {func(s *scene) { s.o.Config.KeyFile = "/key" }, "cluster key", broken, []string{"/key", "flanneld keygen"}},
		"a key that the unit cannot read": {func(s *scene) {
			s.o.Config.KeyFile = "/root/key"
			s.write("/root/key", strings.Repeat("A", 43)+"=")
		}, "cluster key", warning, []string{"flanneld.service", "mv /root/key /etc"}},
		"a key that is none":        {func(s *scene) { s.o.Config.KeyFile = "/key"; s.write("/key", "x") }, "cluster key", broken, []string{"not base64"}},
		"a state directory for all": {func(s *scene) { _ = os.Chmod(s.o.Files+"/var/lib/flanneld", 0o777) }, "state rights", broken, []string{"chmod go-w /var/lib/flanneld"}},
		"a file that was damaged":   {func(s *scene) { s.write("/var/lib/flanneld/lease.corrupt-1", "") }, "state files", warning, []string{"lease.corrupt-1"}},

		"an old kernel": {func(s *scene) { s.write("/proc/sys/kernel/osrelease", "4.19.0-5") }, "kernel", warning, []string{"4.19", "upgrade"}},
		"no nf_tables":  {func(s *scene) { s.remove("/sys/module/nf_tables") }, "nf_tables", warning, []string{"modprobe nf_tables"}},
		"no vxlan that is wanted": {func(s *scene) {
			s.o.Config.Backend = config.Backend{config.PathVXLAN}
			s.write("/lib/modules/6.12.9-amd64/modules.dep", "a.ko:\n")
		}, "vxlan", warning, []string{"modprobe vxlan"}},
		"a kernel without lists": {func(s *scene) { s.remove("/lib/modules") }, "vxlan", skipped, []string{"modprobe"}},
		"bpf(2) is refused":      {func(s *scene) { s.o.Shortcut = func() (string, bool) { return "the kernel refuses bpf(2)", false } }, "tcx", warning, []string{"refuses bpf(2)", "lockdown", "--shortcut off"}},
		"bpf(2) without root": {func(s *scene) {
			s.o.Root, s.o.Shortcut = false, func() (string, bool) { return "the kernel refuses bpf(2)", false }
		}, "tcx", skipped, []string{"sudo"}},
		"forwarding off":             {func(s *scene) { s.write("/proc/sys/net/ipv4/ip_forward", "0") }, "ip_forward", broken, []string{"sysctl -w net.ipv4.ip_forward=1"}},
		"strict filters on a device": {func(s *scene) { s.write("/proc/sys/net/ipv4/conf/eth0/rp_filter", "1") }, "rp_filter", warning, []string{"sysctl -w net.ipv4.conf.eth0.rp_filter=2"}},
		"strict filters on all": {func(s *scene) {
			s.write("/proc/sys/net/ipv4/conf/all/rp_filter", "1")
			s.write("/proc/sys/net/ipv4/conf/eth0/rp_filter", "1")
		}, "rp_filter", warning, []string{"net.ipv4.conf.all.rp_filter=2"}},
		"many connections": {func(s *scene) { s.write("/proc/sys/net/netfilter/nf_conntrack_count", "90") }, "connections", broken, []string{"nf_conntrack_max=400"}},

		"a peer that is dead": {func(s *scene) { s.fake.nodes.Nodes[1].State, s.fake.nodes.Nodes[1].Path = "dead", control.Path{} }, "members", warning, []string{"beta", "10.244.2.0/24", "flanneld forget betaid"}},
		"a suspect":           {func(s *scene) { s.fake.nodes.Nodes[1].State = "suspect" }, "members", warning, []string{"beta", "8286"}},
		"two with one subnet": {func(s *scene) { s.fake.nodes.Nodes[1].Conflict = "10.244.2.0/24 is claimed by x, too" }, "members", broken, []string{"flanneld leave"}},
		"no probe comes back": {func(s *scene) { s.fake.ping.Received = 0 }, "data path", broken, []string{"let UDP port 8285 pass on beta"}},
		"some are lost":       {func(s *scene) { s.fake.ping.Received = 2 }, "data path", warning, []string{"1 of 3", "--count 20"}},
		"large ones are lost": {func(s *scene) { s.fake.ping.Largest = 1000 }, "largest packet", broken, []string{"1000", "1472", "tracepath -n 192.0.2.2", "--mtu"}},
		"no path leads there": {func(s *scene) { s.fake.ping.Path = "" }, "data path", broken, []string{"none is proven", "flanneld ping beta"}},
		"a stranger":          {func(s *scene) { s.fake.strange = 3 }, "senders", warning, []string{"3 datagrams", "NAT", "--public-ip", "udp port 8285"}},
		"NAT of a node": {func(s *scene) { s.fake.strange, s.fake.nodes.Nodes[1].Stray = 3, netip.MustParseAddr("192.0.2.200") }, "senders", broken,
			[]string{"packets of beta (betaid) come from 192.0.2.200 and not from 192.0.2.2", "UDP port 8285 from NAT on that host", "if 192.0.2.200 forwards its ports to it, start it with --public-ip 192.0.2.200"}},
		"NAT of this node": {func(s *scene) { beta(s.fake).Stray = netip.MustParseAddr("192.0.2.200") }, "senders", broken,
			[]string{"beta (betaid) says that packets of this host come from 192.0.2.200 and not from 192.0.2.1", "UDP port 8285 from NAT on this host", "--public-ip 192.0.2.200"}},
		"probes are refused": {func(s *scene) { s.fake.pingErr = errors.New("no data plane") }, "data path", skipped, []string{"no data plane"}},

		"UDP there": {func(s *scene) { beta(s.fake).UDPThere = false }, "gossip port", broken, []string{"UDP does not pass to beta", "open UDP port 8286 of 192.0.2.2"}},
		"UDP back":  {func(s *scene) { beta(s.fake).UDPBack = false }, "gossip port", broken, []string{"UDP does not pass from beta", "open UDP port 8286 of this host"}},
		"TCP there": {func(s *scene) { beta(s.fake).TCPThere = false }, "gossip port", broken, []string{"TCP does not pass to beta", "open TCP port 8286 of 192.0.2.2"}},
		"TCP back":  {func(s *scene) { beta(s.fake).TCPBack = false }, "gossip port", broken, []string{"TCP does not pass from beta", "open TCP port 8286 of this host"}},
		"nothing at all": {func(s *scene) {
			*beta(s.fake) = control.ExaminedNode{State: "suspect", NodeName: beta(s.fake).NodeName, Dial: "i/o timeout"}
		}, "gossip port", broken, []string{"neither by UDP nor by TCP", "ping 192.0.2.2"}},
		"it is stopped": {func(s *scene) {
			*beta(s.fake) = control.ExaminedNode{State: "dead", NodeName: beta(s.fake).NodeName, Dial: "connection refused"}
		}, "gossip port", warning, []string{"does not run there", "systemctl start flanneld"}},
		"it is older": {func(s *scene) { *beta(s.fake) = control.ExaminedNode{State: "alive", NodeName: beta(s.fake).NodeName} }, "gossip port", skipped, []string{"upgrade"}},
		"no answer": {func(s *scene) {
			*beta(s.fake) = control.ExaminedNode{State: "suspect", NodeName: beta(s.fake).NodeName}
		}, "gossip port", broken, []string{"port 8286 of this host"}},
		"too many nodes":  {func(s *scene) { s.fake.examined.Of = 70 }, "gossip port", skipped, []string{"69 more"}},
		"a clock ahead":   {func(s *scene) { beta(s.fake).ClockAhead = 7200 }, "clocks", warning, []string{"2h0m0s ahead", "timedatectl"}},
		"a clock behind":  {func(s *scene) { beta(s.fake).ClockAhead = -2.5 }, "clocks", warning, []string{"2.5s behind", "timedatectl"}},
		"another version": {func(s *scene) { beta(s.fake).Version = "0.9" }, "versions", warning, []string{"beta", "0.9", "upgrade"}},
		"its own path":    {func(s *scene) { beta(s.fake).Path = control.PathFailed }, "data path", broken, []string{"says of its own path", "UDP port 8285"}},

		"no CNI plugin":          {func(s *scene) { s.remove("/opt/cni") }, "cni", broken, []string{"flanneld-cni", "flanneld cni install"}},
		"another subnet.env":     {func(s *scene) { s.o.Config.SubnetFile = "/run/other.env" }, "cni", broken, []string{"/run/other.env", "subnetFile"}},
		"another plugin first":   {func(s *scene) { s.write("/etc/cni/net.d/05-bridge.conf", `{"type":"bridge"}`) }, "cni", warning, []string{"05-bridge.conf", "move"}},
		"a file that is no JSON": {func(s *scene) { s.write("/etc/cni/net.d/10-a.conf", "{") }, "cni", warning, []string{"10-a.conf"}},
		"Docker before a lease":  {func(s *scene) { s.write("/run/docker.sock", ""); s.remove("/run/flannel/subnet.env") }, "docker", skipped, []string{"start flanneld first"}},
		"Docker does not answer": {func(s *scene) { s.write("/run/docker.sock", "") }, "docker", skipped, []string{"systemctl status docker"}},

		"nothing to compare with": {(*scene).stop, "parts", skipped, []string{"no subnet.env"}},
		"a subnet.env that is none": {func(s *scene) {
			s.stop()
			s.write("/run/flannel/subnet.env", "FLANNEL_NETWORK=x\n")
		}, "subnet file", warning, []string{"ls -l /run/flannel/subnet.env", "writes it anew"}},
		"no underlay":          {func(s *scene) { s.stop(); s.o.Config.Iface = []string{"none0"} }, "underlay", broken, []string{"--iface"}},
		"no address for ports": {func(s *scene) { s.stop(); s.o.Config.Iface = []string{"none0"} }, "free ports", skipped, nil},
		"parts that a start mends": {func(s *scene) {
			s.stop()
			s.o.Check = func(context.Context) ([]host.Finding, error) {
				return []host.Finding{{Part: problem.PartFirewall, Wrong: []string{"a rule is missing"}}}, nil
			}
		}, "firewall", warning, []string{"a rule is missing", "systemctl start flanneld"}},
		"rules in the way of a start": {func(s *scene) {
			s.stop()
			s.o.Check = func(context.Context) ([]host.Finding, error) {
				return []host.Finding{{Part: problem.PartRules, Wrong: []string{"dropped"}}, {Part: problem.PartPorts, Err: errors.New("x")}, {Part: problem.PartBridge}}, nil
			}
		}, "rules", broken, []string{"dropped", "nft list ruleset"}},
	} {
		s := newScene(t)
		c.do(s)
		d := examine(t, s)
		if err := find(d, c.name, c.verdict, c.words...); err != nil {
			t.Errorf("%s: %v", fault, err)
		}
		if c.verdict == broken && (d.OK || !strings.Contains(d.Summary, "broken")) {
			t.Errorf("%s: %+v", fault, d.Summary)
		}
	}
}

// Without a fault nothing is wrong. What this machine is like, and not the
// scene, is left out.
func TestAHostWithoutFaultsIsWell(t *testing.T) {
	s := newScene(t)
	d := examine(t, s)
	for _, c := range d.Checks {
		if c.Verdict != control.CheckOK && c.Name != "state disk" && c.Name != "run disk" && c.Name != "tun" && !strings.HasPrefix(c.Name, "docker") && !strings.HasSuffix(c.Name, "rights") {
			t.Errorf("%+v", c)
		}
	}
	if !d.Running || d.Version != "1.0" || d.Time == "" {
		t.Errorf("%+v", d)
	}
	text, err := json.Marshal(d)
	if err != nil || strings.Contains(string(text), "null") {
		t.Errorf("%s, %v", text, err)
	}
}

// Before its lease flanneld has not touched the switch yet.
func TestForwardingIsNoFaultBeforeTheLease(t *testing.T) {
	s := newScene(t)
	s.fake.status.Lease.State = "claiming"
	s.write("/proc/sys/net/ipv4/ip_forward", "0")
	if err := find(examine(t, s), "ip_forward", control.CheckOK, "when it has its lease"); err != nil {
		t.Error(err)
	}
}

// A taken port is named, and a bound one is given back.
func TestPortsAreTried(t *testing.T) {
	s := newScene(t)
	s.stop()
	l, err := bindFree(t)
	if err != nil {
		t.Fatal(err)
	}
	s.o.Config.GossipPort, s.o.Config.Port = l, 0
	if err := find(examine(t, s), "free ports", control.CheckBroken, fmt.Sprintf("TCP port %d (--gossip-port)", l), "ss -lntup"); err != nil {
		t.Error(err)
	}
	s.o.Config.GossipPort = 0
	for range 2 {
		if err := find(examine(t, s), "free ports", control.CheckOK); err != nil {
			t.Error(err)
		}
	}
}

func TestSpaceIsJudged(t *testing.T) {
	for want, s := range map[string]space{
		"full": {free: noSpace - 1, size: 1 << 40, inodes: 1 << 20, nodes: 1 << 21},
		"low":  {free: lowSpace - 1, size: 1 << 40, inodes: 1 << 20, nodes: 1 << 21},
		"":     {free: lowSpace, size: lowSpace}, // a file system without a limit of files
	} {
		if got := judgeSpace(s); got != want {
			t.Errorf("%+v is %q, want %q", s, got, want)
		}
	}
	if judgeSpace(space{free: 1 << 40, nodes: 10}) != "full" || judgeSpace(space{free: 1 << 40, nodes: 1 << 20, inodes: 9}) != "low" {
		t.Error("files are not counted")
	}
}

// Every part that reports problems has its line, also where a problem comes
// without advice, and a part of a later daemon.
func TestEachPartHasItsLine(t *testing.T) {
	if len(parts) != len(problem.Parts()) {
		t.Errorf("%d of %d parts", len(parts), len(problem.Parts()))
	}
	s := newScene(t)
	for _, name := range append(problem.Parts(), "tomorrow") {
		s.fake.status.Problems = append(s.fake.status.Problems, control.Problem{Part: name, Text: "it is " + name})
	}
	d := examine(t, s)
	for _, name := range problem.Parts() {
		if err := find(d, name, parts[name].verdict, "it is "+name); err != nil {
			t.Error(err)
		}
	}
	if err := find(d, "tomorrow", control.CheckWarning, "it is tomorrow"); err != nil {
		t.Error(err)
	}
	delete(seen, "daemon tomorrow")
	s.fake.status.Problems[0].Advice = "do this"
	if err := find(examine(t, s), problem.Parts()[0], parts[problem.Parts()[0]].verdict, "do this"); err != nil {
		t.Error(err)
	}
	delete(seen, "daemon tomorrow")
}

// Each check that the tests of this file have met is in docs/doctor.md, and
// each line there is a check.
func TestTheDocumentNamesEachCheck(t *testing.T) {
	for check, test := range map[string]func(*testing.T){
		"host parts": TestFaultsAreFound, "host device": TestEachPartHasItsLine, "containers cni": TestAHostWithoutFaultsIsWell,
	} {
		if !seen[check] { // that test did not run
			test(t)
		}
	}
	text, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	documented, group := map[string]bool{}, ""
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "### "); ok {
			group = name
		}
		cells := strings.Split(line, "|")
		if group == "" || len(cells) < 4 || strings.Contains(line, "---") || strings.TrimSpace(cells[1]) == "name" {
			continue
		}
		for name := range strings.SplitSeq(cells[1], ",") {
			documented[group+" "+strings.TrimSpace(name)] = true
		}
	}
	for name := range seen {
		if !documented[name] {
			t.Errorf("docs/doctor.md does not have: %s", name)
		}
	}
	for name := range documented {
		if !seen[name] {
			t.Errorf("docs/doctor.md has what no test meets: %s", name)
		}
	}
}

func FuzzCNI(f *testing.F) {
	for _, seed := range []string{`{"type":"flannel"}`, `{"plugins":[{"type":"x","subnetFile":"y"}]}`, `{"plugins":[{"plugins":[]}]}`, `[]`, `null`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if plugins, err := parseCNI(content); err == nil && len(plugins) == 0 {
			t.Error("no plugin and no error")
		}
	})
}
