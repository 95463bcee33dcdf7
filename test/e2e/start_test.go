// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

func TestFoundingNodeLeasesASubnetOfTheDefaultNetwork(t *testing.T) {
	t.Parallel()
	_, h := founder(t)
	lease := h.Lease()
	if lease.Bits() != 24 || !lab.Overlay.Contains(lease.Addr()) {
		t.Errorf("lease %v is no /24 of %v", lease, lab.Overlay)
	}
	if lease.Addr() == lab.Overlay.Addr() {
		t.Errorf("the first subnet %v was handed out", lease)
	}
	s := h.Status()
	if s.Lease.State != "confirmed" || s.Lease.Subnet != lease.String() || s.Network.Prefix != lab.Overlay.String() {
		t.Errorf("status says %+v of %+v, subnet.env %v", s.Lease, s.Network, lease)
	}
}

func TestFilesAreByteForByteWhatOthersRead(t *testing.T) {
	t.Parallel()
	_, h := founder(t)
	first := h.Lease().Addr().Next()
	want := fmt.Sprintf("FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=%v/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n", first)
	if got := read(t, filepath.Join(h.RunDir, "subnet.env")); got != want {
		t.Errorf("subnet.env:\n%s\nwant\n%s", got, want)
	}
	want = fmt.Sprintf("DOCKER_OPT_BIP=\"--bip=%[1]v/24\"\nDOCKER_OPT_IPMASQ=\"--ip-masq=true\"\nDOCKER_OPT_MTU=\"--mtu=1472\"\n"+
		"DOCKER_OPTS=\" --bip=%[1]v/24 --ip-masq=true --mtu=1472\"\n", first)
	if got := read(t, filepath.Join(h.RunDir, "docker")); got != want {
		t.Errorf("docker:\n%s\nwant\n%s", got, want)
	}
	info, err := os.Stat(filepath.Join(h.RunDir, "subnet.env"))
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("subnet.env has mode %v, %v", info.Mode(), err)
	}
}

func TestDeviceIsAPersistentMultiQueueTUNWithAddressAndRoute(t *testing.T) {
	t.Parallel()
	_, h := founder(t)
	link := h.Exec(t, "ip", "-d", "link", "show", "flannel0")
	mentions(t, "ip link", link, "tun type tun", "multi_queue", "persist on", "mtu 1472", "alias flanneld")
	if address := h.Exec(t, "ip", "-4", "-o", "address", "show", "dev", "flannel0"); !strings.Contains(address, h.Lease().Addr().String()+"/32") {
		t.Errorf("flannel0 does not have %v/32: %s", h.Lease().Addr(), address)
	}
	if route := h.Exec(t, "ip", "route", "show", "10.244.0.0/16"); !strings.Contains(route, "dev flannel0") {
		t.Errorf("no route of the network to flannel0: %q", route)
	}
	if v6 := h.Exec(t, "ip", "-6", "-o", "address", "show", "dev", "flannel0"); v6 != "" {
		t.Errorf("flannel0 has an IPv6 address: %s", v6)
	}
}

func TestEverythingIsThereBeforeReadyIsReported(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h := l.Host()
	d := h.Start()
	select { // no polling before: what is missing now was missing at READY=1
	case <-d.Ready():
	case <-time.After(ready):
		t.Fatalf("not ready:\n%s", d.Log())
	}
	for _, name := range []string{"subnet.env", "docker", "flanneld.sock"} {
		if !exists(filepath.Join(h.RunDir, name)) {
			t.Errorf("ready without %s", name)
		}
	}
	mentions(t, "ip link at READY=1", h.Exec(t, "ip", "link", "show", "flannel0"), "UP")
	if s := h.Status(); s.Lease.State != "confirmed" {
		t.Errorf("ready with a lease that is %s", s.Lease.State)
	}
}

func TestForwardingIsTurnedOnAndLogged(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h := l.Host()
	h.Sysctl(t, "net.ipv4.ip_forward", "0")
	d := h.Start().WaitReady(ready)
	if got := h.ReadSysctl(t, "net.ipv4.ip_forward"); got != "1" {
		t.Errorf("net.ipv4.ip_forward is %s", got)
	}
	d.WaitLog("ip_forward", ready)
	if s := h.Status(); !s.Host.IPForward || !s.Host.IPForwardChanged {
		t.Errorf("status says %+v", s.Host)
	}
}

func TestThreeHostsReachEachOther(t *testing.T) {
	t.Parallel()
	extremes(t, threeHostsReachEachOther)
}

func threeHostsReachEachOther(t *testing.T, offload string) {
	l := lab.New(t)
	h1, h2, h3 := l.Trio(edge(offload)...)
	// Where processors are scarce, gossip takes seconds. Until a host knows
	// another one's lease, it drops that one's probes.
	before := map[*lab.Host]uint64{}
	for _, h := range l.Hosts() {
		before[h], _ = dropped(h)
	}
	p1, p2, p3 := h1.Pod(), h2.Pod(), h3.Pod()
	pods := []*lab.Pod{p1, p2, p3}
	for _, from := range pods {
		for _, to := range pods {
			if from == to {
				continue
			}
			from.Reachable(t, to.Addr, 5*time.Second)
			from.Host.Reachable(t, to.Addr, 5*time.Second)           // host to remote pod
			from.Reachable(t, to.Host.Lease().Addr(), 5*time.Second) // and pod to remote host
			if got := lab.SendTCP(t, from.Namespace, to.Namespace, at(to.Addr, 7000), 4<<20); got.Source != from.Addr {
				t.Errorf("%v arrived as %v", from.Addr, got.Source)
			}
			if got := lab.SendUDP(t, from.Namespace, to.Namespace, at(to.Addr, 7000), 20, 1400); got.Source != from.Addr {
				t.Errorf("%v arrived as %v", from.Addr, got.Source)
			}
		}
	}
	// A host's own address in the overlay is LEASE.0.
	if got := lab.SendTCP(t, h1.Namespace, p2.Namespace, at(p2.Addr, 7000), 1000); got.Source != h1.Lease().Addr() {
		t.Errorf("host1 arrived as %v, want %v", got.Source, h1.Lease().Addr())
	}
	if got := lab.SendTCP(t, p2.Namespace, h1.Namespace, at(h1.Lease().Addr(), 7000), 1000); got.Source != p2.Addr {
		t.Errorf("pod of host2 arrived at host1 as %v", got.Source)
	}
	// Large datagrams are fragmented by their senders and arrive whole.
	lab.SendUDP(t, p1.Namespace, p3.Namespace, at(p3.Addr, 7000), 20, 20000)
	for _, h := range l.Hosts() {
		if sum, reasons := dropped(h); sum > before[h]+5 {
			t.Errorf("%s dropped %v, %d of them at first", h.NodeName, reasons, before[h])
		}
	}
}

func TestEveryHostHasItsOwnSubnetAndTheSameTable(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	first := l.Host()
	first.Start().WaitReady(ready)
	for range 5 { // all at once
		l.Host().Start("--join", first.Addr.String())
	}
	seen := map[netip.Prefix]string{}
	for _, h := range l.Hosts() {
		h.Daemon.WaitReady(2 * ready)
		if other, taken := seen[h.Lease()]; taken {
			t.Errorf("%v is held by %s and %s", h.Lease(), other, h.NodeName)
		}
		seen[h.Lease()] = h.NodeName
	}
	l.WaitConverged(6)
	for _, h := range l.Hosts() {
		nodes, err := h.Nodes()
		if err != nil {
			t.Fatal(err)
		}
		for subnet, name := range seen {
			if got := nodes.Find(name).Subnet; got != subnet.String() {
				t.Errorf("%s thinks that %s has %q, which has %v", h.NodeName, name, got, subnet)
			}
		}
	}
}

func TestJoiningNodeLearnsTheNetwork(t *testing.T) {
	t.Parallel()
	l, h1 := founder(t, "--network", "10.99.0.0/20", "--subnet-len", "26")
	h2 := l.Host()
	h2.Start("--join", h1.Addr.String()).WaitReady(ready)
	if lease := h2.Lease(); lease.Bits() != 26 || !netip.MustParsePrefix("10.99.0.0/20").Contains(lease.Addr()) {
		t.Errorf("the joining node has %v", lease)
	}
	if got := h2.SubnetFile()["FLANNEL_NETWORK"]; got != "10.99.0.0/20" {
		t.Errorf("FLANNEL_NETWORK=%s", got)
	}
	h2.Pod().Reachable(t, h1.Pod().Addr, 5*time.Second)
	h3 := l.Host()
	d := h3.Start("--join", h1.Addr.String(), "--network", "10.98.0.0/16")
	refusedDaemon(t, h3, d, 1, "10.98.0.0/16", "10.99.0.0/20")
	nothingSetUp(t, h3)
}

func TestSmallNetworkHasSubnetsTwoBitsLonger(t *testing.T) {
	t.Parallel()
	_, h := founder(t, "--network", "10.99.8.0/24")
	if got := h.Lease().Bits(); got != 26 {
		t.Errorf("lease %v of a /24 network", h.Lease())
	}
}

func TestSubnetsComeFromBetweenMinAndMax(t *testing.T) {
	t.Parallel()
	l, h1 := founder(t, "--subnet-min", "10.244.40.0", "--subnet-max", "10.244.41.0")
	h2, h3 := l.Host(), l.Host()
	h2.Start("--join", h1.Addr.String()).WaitReady(ready)
	for _, h := range []*lab.Host{h1, h2} {
		if third := h.Lease().Addr().As4()[2]; third != 40 && third != 41 {
			t.Errorf("lease %v is out of bounds", h.Lease())
		}
	}
	// Both are taken: the next node waits, reports it, and gets the subnet that
	// is freed.
	d := h3.Start("--join", h1.Addr.String())
	d.WaitLog("no free subnet", ready)
	if h3.SubnetFile() != nil {
		t.Error("a subnet was handed out that is not free")
	}
	freed := h2.Lease()
	h2.MustFlanneld("leave")
	d.WaitReady(2 * ready)
	if h3.Lease() != freed {
		t.Errorf("host3 got %v, free was %v", h3.Lease(), freed)
	}
}

func TestPinnedSubnetIsTheOneHeld(t *testing.T) {
	t.Parallel()
	l, h1 := founder(t, "--subnet", "10.244.77.0/24")
	if got := h1.Lease().String(); got != "10.244.77.0/24" {
		t.Errorf("pinned 10.244.77.0/24, got %s", got)
	}
	h2 := l.Host()
	h2.Start("--join", h1.Addr.String(), "--subnet", "10.244.33.0/24").WaitReady(ready)
	if got := h2.Lease().String(); got != "10.244.33.0/24" || !h2.Status().Lease.Pinned {
		t.Errorf("pinned 10.244.33.0/24, got %s", got)
	}
	h2.Daemon.Stop()
	h2.Start("--join", h1.Addr.String(), "--subnet", "10.244.33.0/24").WaitReady(ready)
	if got := h2.Lease().String(); got != "10.244.33.0/24" {
		t.Errorf("the pin became %s by a restart", got)
	}
}

func TestEnvironmentSetsWhatNoFlagSays(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h := l.Host()
	cmd := through(t, h, `exec "$@"`, "--network", "10.71.0.0/16")
	cmd.Env = append(cmd.Env, "FLANNELD_NETWORK=10.70.0.0/16", "FLANNELD_MTU=1300", "FLANNELD_DEVICE=over0",
		"FLANNELD_SUBNET_LEN=25", "FLANNELD_IP_MASQ=true", "FLANNELD_SUBNET_FILE="+filepath.Join(h.RunDir, "other.env"))
	h.StartCommand(cmd).WaitReady(ready)
	got := read(t, filepath.Join(h.RunDir, "other.env"))
	mentions(t, "subnet file", got, "FLANNEL_NETWORK=10.71.0.0/16", "/25\n", "FLANNEL_MTU=1300", "FLANNEL_IPMASQ=true")
	mentions(t, "docker file", read(t, filepath.Join(h.RunDir, "docker")), "--ip-masq=false")
	mentions(t, "ip link", h.Exec(t, "ip", "link", "show", "over0"), "mtu 1300")
}

func TestUnderlayIsChosenAsFlannelDoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, flag, value, want string }{
		{"the default route's", "", "", "192.168.50.11"},
		{"by name", "--iface", "eth1", "172.20.0.5"},
		{"by address", "--iface", "172.20.0.5", "172.20.0.5"},
		{"by regular expression", "--iface-regex", "eth[1-9]", "172.20.0.5"},
		{"by what it reaches", "--iface-can-reach", "172.20.0.77", "172.20.0.5"},
		{"announced otherwise", "--public-ip", "192.168.50.99", "192.168.50.99"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t)
			h := l.Host()
			l.Wire(h.Namespace, "eth1", l.Switch, "second", 1400)
			h.Exec(t, "ip", "address", "add", "172.20.0.5/16", "dev", "eth1")
			var args []string
			mtu := 1472
			if c.flag != "" {
				args = []string{c.flag, c.value}
			}
			if c.want == "172.20.0.5" {
				mtu = 1400 - 28
			}
			h.Start(args...).WaitReady(ready)
			nodes, err := h.Nodes()
			if err != nil {
				t.Fatal(err)
			}
			if got := nodes.Find("host1").Endpoint; got != c.want+":8285" {
				t.Errorf("announced %s, want %s:8285", got, c.want)
			}
			if got := h.Status().Device.MTU; got != mtu {
				t.Errorf("MTU %d, want %d", got, mtu)
			}
		})
	}
}

func TestEveryNodeAnnouncesItsOwnPort(t *testing.T) {
	t.Parallel()
	l, h1 := founder(t, "--port", "9001", "--gossip-port", "9002")
	h2 := l.Host()
	h2.Start("--join", h1.Addr.String()+":9002").WaitReady(ready)
	l.WaitConverged(2)
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	p2.Reachable(t, p1.Addr, 5*time.Second)
}

func TestSeveralLanesCarryTraffic(t *testing.T) {
	t.Parallel()
	extremes(t, severalLanesCarryTraffic)
}

func severalLanesCarryTraffic(t *testing.T, offload string) {
	_, h1, h2 := duo(t, "--offload", offload, "--lanes", "2", "--shortcut", "off")
	p1, p2 := h1.Pod(), h2.Pod()
	for port := range uint16(8) { // different flows, different lanes
		lab.SendTCP(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7000+port), 1<<20)
		lab.SendUDP(t, p2.Namespace, p1.Namespace, at(p1.Addr, 7000+port), 5, 1000)
	}
}
