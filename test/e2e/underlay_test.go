// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/test/lab"
)

// problems waits until a host's status has a problem of a part with the words
// in it.
func problems(t *testing.T, h *lab.Host, part string, words ...string) {
	t.Helper()
	lab.Eventually(t, 15*time.Second, h.NodeName+" to report "+strings.Join(words, ", "), func() error {
		all := h.Status().Problems
		return lab.Expect(slices.ContainsFunc(all, func(p lab.Problem) bool {
			for _, word := range words {
				if !strings.Contains(p.Text+" "+p.Advice, word) {
					return false
				}
			}
			return p.Part == part && p.Advice != ""
		}), "problems %+v", all)
	})
}

// noProblems waits until a part has no problem.
func noProblems(t *testing.T, h *lab.Host, part string) {
	t.Helper()
	lab.Eventually(t, 15*time.Second, h.NodeName+" to have no problem of "+part, func() error {
		all := h.Status().Problems
		return lab.Expect(!slices.ContainsFunc(all, func(p lab.Problem) bool { return p.Part == part }), "problems %+v", all)
	})
}

// The daemon waits for conditions that time changes, and reports them in every
// output.
func TestUnderlayThatComesLateIsWaitedFor(t *testing.T) {
	t.Parallel()
	gateway := lab.Gateway.String()
	for _, c := range []struct {
		name, take, give string
		args             []string
		says             []string
	}{
		{"default route", "ip route del default", "ip route add default via " + gateway, nil, []string{"no default route", "--iface", "eth0"}},
		{"address", "ip address flush dev eth0", "ip address add 192.168.50.11/24 dev eth0; ip route add default via " + gateway, nil, []string{"no default route"}},
		{"interface", "ip link set eth0 down; ip link set eth0 name later0", "ip link set later0 name eth0; ip link set eth0 up", []string{"--iface", "eth0"}, []string{"eth0", "later0"}},
		{"interface that is down", "ip link set eth0 down", "ip link set eth0 up", []string{"--iface", "eth0"}, []string{"eth0 is down"}},
		{"named address", "ip address flush dev eth0", "ip address add 192.168.50.11/24 dev eth0", []string{"--iface", "192.168.50.11"}, []string{"192.168.50.11", "eth0"}},
		{"match of an expression", "ip link set eth0 down; ip link set eth0 name later0", "ip link set later0 name eth0; ip link set eth0 up", []string{"--iface-regex", "^eth"}, []string{"^eth", "later0"}},
		{"address of the named interface", "ip address flush dev eth0", "ip address add 192.168.50.11/24 dev eth0", []string{"--iface", "eth0"}, []string{"no IPv4 address"}},
		{"route to reach", "ip route del default", "ip route add default via " + gateway, []string{"--iface-can-reach", lab.OutsideAddress.String()}, []string{"--iface-can-reach", "eth0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := lab.New(t).Host()
			h.Exec(t, "sh", "-c", c.take)
			d := h.Start(c.args...)
			d.WaitLog("the underlay is not there yet", ready)
			mentions(t, "the log", d.Log(), c.says...)
			lab.Eventually(t, ready, "the service manager to get the status", func() error {
				return lab.Expect(strings.HasPrefix(d.Told(), "waiting for the underlay: "), "STATUS=%s", d.Told())
			})
			mentions(t, "STATUS", d.Told(), c.says...)
			problems(t, h, "underlay", append([]string{"not there yet"}, c.says...)...)
			if s := h.Status(); !strings.Contains(s.Lease.Waiting, "waiting for the underlay") {
				t.Errorf("status waits for %q", s.Lease.Waiting)
			}
			if r := h.Flanneld("join", "192.0.2.1"); r.Status != 1 || !strings.Contains(r.Stderr, "waiting for the underlay") {
				t.Errorf("join: exit status %d: %s", r.Status, r.Stderr)
			}
			<-time.After(2 * time.Second) // to see that it continues to wait
			if d.Ended() {
				t.Fatalf("it has ended:\n%s", d.Log())
			}
			h.Exec(t, "sh", "-c", c.give)
			d.WaitReady(ready)
			noProblems(t, h, "underlay")
			if got := h.Status().Underlay.Address; got != h.Addr.String() {
				t.Errorf("it is at %s", got)
			}
		})
	}
}

func TestWaitingForTheUnderlayEndsWhenAsked(t *testing.T) {
	t.Parallel()
	h := lab.New(t).Host()
	h.Exec(t, "ip", "route", "delete", "default")
	d := h.Start()
	d.WaitLog("the underlay is not there yet", ready)
	d.Signal(unix.SIGTERM)
	if status := d.WaitEnd(3 * time.Second); status != 0 {
		t.Errorf("exit status %d:\n%s", status, d.Log())
	}
	nothingSetUp(t, h)
}

// Interfaces of other programs move no node: a DHCP client's link-local address
// on a container's interface, a VPN.
func TestOtherDefaultRoutesMoveNoNode(t *testing.T) {
	t.Parallel()
	_, h1, h2 := duo(t)
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	talk := lab.Converse(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7001))
	h2.Exec(t, "sh", "-c", "ip route replace default via 192.168.50.1 metric 500; ip route del default metric 0 2>/dev/null; true")
	for _, c := range []struct{ name, come, leave string }{
		{"a link-local address", "ip link add v0 type veth peer name v1; ip link set v1 up; ip link set v0 up; ip address add 169.254.9.9/16 dev v0; ip route add default dev v0 metric 205", "ip link del v0"},
		{"a VPN", "ip link add vpn0 type veth peer name vpn1; ip link set vpn1 up; ip link set vpn0 up; ip address add 10.8.0.2/24 dev vpn0; ip route add default dev vpn0 metric 50", "ip link del vpn0"},
		{"a VPN that takes everything", "ip link add vpn0 type veth peer name vpn1; ip link set vpn1 up; ip link set vpn0 up; ip address add 10.8.0.2/24 dev vpn0; ip route add 0.0.0.0/1 dev vpn0; ip route add 128.0.0.0/1 dev vpn0", "ip link del vpn0"},
		{"a second uplink", "ip link add v0 type veth peer name v1; ip link set v1 up; ip link set v0 up; ip address add 172.20.9.9/16 dev v0; ip route add default via 172.20.0.1 metric 5", "ip link del v0"},
	} {
		h2.Exec(t, "sh", "-c", c.come)
		<-time.After(6 * time.Second) // to see that nothing happens
		s := h2.Status()
		if s.Endpoint != h2.Addr.String()+":8285" || s.Members.Alive != 2 || strings.Contains(h2.Daemon.Log(), "moved to another") {
			t.Errorf("%s: at %s, %d members alive", c.name, s.Endpoint, s.Members.Alive)
		}
		h2.Exec(t, "sh", "-c", c.leave)
	}
	if err := talk.Stop(); err != nil {
		t.Errorf("the conversation broke: %v", err)
	}
	mentions(t, "the log", h2.Daemon.Log(), "another underlay address would be chosen at a start", "10.8.0.2", "172.20.9.9")
	if strings.Contains(h2.Daemon.Log(), "169.254.9.9") {
		t.Error("a link-local address was thought of beside another")
	}
}

// second gives a host another interface on the underlay.
func second(t *testing.T, l *lab.Lab, h *lab.Host, address string) {
	t.Helper()
	l.Wire(h.Namespace, "eth1", l.Switch, "second", 1500)
	l.Switch.Exec(t, "ip", "link", "set", "second", "master", "br0")
	h.Exec(t, "ip", "address", "add", address+"/24", "dev", "eth1", "noprefixroute")
	h.Sysctl(t, "net.ipv4.conf.all.rp_filter", "0")
	h.Sysctl(t, "net.ipv4.conf.eth0.rp_filter", "0")
	h.Sysctl(t, "net.ipv4.conf.eth1.rp_filter", "0")
	h.Sysctl(t, "net.ipv4.conf.all.arp_ignore", "1")
	h.Sysctl(t, "net.ipv4.conf.all.arp_announce", "2")
}

// endpointIs waits until an observer sees the host alive at an address.
func endpointIs(t *testing.T, h, observer *lab.Host, address string, limit time.Duration) {
	t.Helper()
	lab.Eventually(t, limit, observer.NodeName+" to know "+h.NodeName+" at "+address, func() error {
		nodes, err := observer.Nodes()
		if err != nil {
			return err
		}
		n := nodes.Find(h.NodeName)
		return lab.Expect(n.Endpoint == address+":8285" && n.State == "alive", "%+v", n)
	})
}

func TestNodeMovesToWhereMembersAnswer(t *testing.T) {
	t.Parallel()
	l, h1, h2 := duo(t)
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	second(t, l, h2, "192.168.50.112")
	lease := h2.Lease()
	start := time.Now()
	l.Cut(h2) // the address stays, but nothing answers there any more
	h2.Exec(t, "sh", "-c", "ip route replace 192.168.50.0/24 dev eth1 src 192.168.50.112; ip route replace default via 192.168.50.1 dev eth1")
	endpointIs(t, h2, h1, "192.168.50.112", 60*time.Second)
	t.Logf("moved after %v", time.Since(start).Round(100*time.Millisecond))
	p1.Reachable(t, p2.Addr, 10*time.Second)
	mentions(t, "the log", h2.Daemon.Log(), "level=WARN msg=\"moved to another underlay address\"", "members answer there")
	if h2.Lease() != lease {
		t.Errorf("the lease became %v", h2.Lease())
	}
}

// The address disappears while a VPN is up. The VPN offers another address that
// reaches no member. Later the address returns, and the VPN keeps the default
// route.
func TestNodeGoesBackFromWhereNoMemberAnswers(t *testing.T) {
	t.Parallel()
	_, h1, h2 := duo(t)
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	h2.Exec(t, "sh", "-c", "ip link add v0 type veth peer name v1; ip link set v1 up; ip link set v0 up; ip address add 172.20.9.9/16 dev v0; ip route add default via 172.20.0.1 metric 5")
	h2.Exec(t, "ip", "address", "flush", "dev", "eth0")
	h2.Daemon.WaitLog("moved to another underlay address", 20*time.Second)
	h1.WaitState("host2", "dead", 40*time.Second)
	start := time.Now()
	h2.Exec(t, "ip", "address", "add", h2.Addr.String()+"/24", "dev", "eth0")
	endpointIs(t, h2, h1, h2.Addr.String(), 60*time.Second)
	t.Logf("back after %v", time.Since(start).Round(100*time.Millisecond))
	p1.Reachable(t, p2.Addr, 10*time.Second)
}

// An address that other hosts may take over is not kept once the host's own is
// back.
func TestSharedAddressIsNotKeptAfterAFlap(t *testing.T) {
	t.Parallel()
	l, h1 := founder(t)
	h2 := l.Host()
	h2.Start("--join", h1.Addr.String(), "--iface", "eth0").WaitReady(ready)
	h2.Exec(t, "ip", "address", "add", "192.168.50.200/32", "dev", "eth0")
	h2.Exec(t, "ip", "address", "del", h2.Addr.String()+"/24", "dev", "eth0")
	h2.Exec(t, "ip", "route", "add", "192.168.50.0/24", "dev", "eth0", "src", "192.168.50.200")
	endpointIs(t, h2, h1, "192.168.50.200", 20*time.Second)
	h2.Exec(t, "ip", "address", "add", h2.Addr.String()+"/24", "dev", "eth0")
	endpointIs(t, h2, h1, h2.Addr.String(), 30*time.Second)
}

func TestLinkLocalAddressIsNotMovedToWithoutMembers(t *testing.T) {
	t.Parallel()
	_, h1, h2 := duo(t)
	h2.Exec(t, "sh", "-c", "ip address flush dev eth0; ip address add 169.254.7.7/16 dev eth0; ip route add default dev eth0")
	h2.Daemon.WaitLog("is on no interface that is up", 15*time.Second)
	<-time.After(6 * time.Second) // to see that it stays
	if s := h2.Status(); s.Endpoint != h2.Addr.String()+":8285" {
		t.Errorf("it is at %s", s.Endpoint)
	}
	h2.Exec(t, "sh", "-c", "ip address flush dev eth0; ip address add "+h2.Addr.String()+"/24 dev eth0; ip route replace default via "+lab.Gateway.String())
	endpointIs(t, h2, h1, h2.Addr.String(), 60*time.Second)
	noProblems(t, h2, "underlay")
}

func TestWiderRouteThroughARouterIsNoProblem(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	for _, h := range l.Hosts() {
		h.Exec(t, "ip", "route", "add", "10.0.0.0/8", "via", lab.Gateway.String())
	}
	h1.Start().WaitReady(ready)
	h2.Start("--join", h1.Addr.String()).WaitReady(ready)
	l.WaitConverged(2)
	h1.Pod().Reachable(t, h2.Pod().Addr, 5*time.Second)
	mentions(t, "the log", h1.Daemon.Log(), "level=WARN", "10.0.0.0/8")
	noProblems(t, h1, "overlap")
}

// A node that holds a lease starts again whatever has changed in between. A
// reboot, which empties the run directory, is included.
func TestOverlapThatCameLaterDoesNotStopANodeWithALease(t *testing.T) {
	t.Parallel()
	_, h1, h2 := duo(t)
	lease := h2.Lease()
	p1, p2 := h1.Pod(), h2.Pod()
	h2.Exec(t, "ip", "route", "add", "10.244.0.0/24", "via", lab.Gateway.String())
	for _, reboot := range []bool{false, true} {
		h2.Daemon.Stop()
		if reboot {
			h2.MustFlanneld("cleanup")
			for _, name := range []string{"subnet.env", "docker"} {
				os.Remove(h2.RunDir + "/" + name)
			}
		}
		find(t, "an overlap", nil, finding{h2, "overlap", "warning", []string{"10.244.0.0/24", "--allow-overlap"}})
		h2.Start("--join", h1.Addr.String()).WaitReady(ready)
		problems(t, h2, "overlap", "10.244.0.0/24", "remove that route", "--allow-overlap")
		if h2.Lease() != lease {
			t.Errorf("the lease became %v", h2.Lease())
		}
		p1.Reachable(t, p2.Addr, 10*time.Second)
	}
	h2.Exec(t, "ip", "route", "delete", "10.244.0.0/24")
	well(t, h2, noticed)
	h2.Exec(t, "ip", "route", "add", "10.244.0.0/24", "via", lab.Gateway.String())
	h2.Daemon.Stop()
	h2.Start("--join", h1.Addr.String(), "--allow-overlap").WaitReady(ready)
	noProblems(t, h2, "overlap")
}

func TestAllowedOverlapStarts(t *testing.T) {
	t.Parallel()
	h := lab.New(t).Host()
	h.Exec(t, "ip", "route", "add", "10.244.128.0/17", "via", lab.Gateway.String())
	h.Start("--allow-overlap").WaitReady(ready)
	mentions(t, "the log", h.Daemon.Log(), "level=WARN", "10.244.128.0/17")
}

func TestUnderlayWhoseMTUShrinksIsReported(t *testing.T) {
	t.Parallel()
	_, h1, h2 := duo(t)
	p1, p2 := h1.Pod(), h2.Pod()
	h2.Exec(t, "ip", "link", "set", "eth0", "mtu", "1300")
	problems(t, h2, "underlay", "MTU of eth0 is 1300", "1272", "1500", "restart flanneld")
	lab.SendTCP(t, p2.Namespace, p1.Namespace, at(p1.Addr, 7001), 1<<20)
	h2.Exec(t, "ip", "link", "set", "eth0", "mtu", "1500")
	noProblems(t, h2, "underlay")
	h2.Exec(t, "ip", "link", "set", "eth0", "mtu", "1300")
	h2.Daemon.Stop()
	h2.Start("--join", h1.Addr.String()).WaitReady(ready)
	noProblems(t, h2, "underlay")
	if got := h2.Status().Device.MTU; got != 1272 {
		t.Errorf("MTU %d after a restart", got)
	}
}

func TestBridgeThatKeepsAnOldSubnetIsReported(t *testing.T) {
	t.Parallel()
	_, h := founder(t)
	h.Bridge()
	h.Exec(t, "sh", "-c", "ip address flush dev docker0; ip address add 10.244.99.1/24 dev docker0")
	problems(t, h, "bridge", "docker0", "10.244.99.1/24", "systemctl restart docker")
	h.Exec(t, "sh", "-c", fmt.Sprintf("ip address flush dev docker0; ip address add %s dev docker0", h.SubnetFile()["FLANNEL_SUBNET"]))
	noProblems(t, h, "bridge")
}

func TestSettingThatHidesRoutesOfAStoppedDaemonIsReported(t *testing.T) {
	t.Parallel()
	_, h := founder(t)
	h.Sysctl(t, "net.ipv4.conf.all.ignore_routes_with_linkdown", "1")
	h.Exec(t, "sh", "-c", "ip route add 198.51.100.0/24 dev eth0; ip route del 198.51.100.0/24") // a change to react to
	problems(t, h, "underlay", "sysctl -w net.ipv4.conf.all.ignore_routes_with_linkdown=0")
	h.Sysctl(t, "net.ipv4.conf.all.ignore_routes_with_linkdown", "0")
	h.Exec(t, "sh", "-c", "ip route add 198.51.100.0/24 dev eth0; ip route del 198.51.100.0/24")
	noProblems(t, h, "underlay")
}

// Routing on the host: its address is on lo, and links lead to routers.
func TestAddressOnLoopbackIsAnUnderlay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		args []string
	}{{"by the source of the default route", nil}, {"by address", []string{"--iface", "OWN"}}, {"by interface", []string{"--iface", "lo"}}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t)
			h1, h2 := l.Host(), l.Host()
			l.Switch.Exec(t, "ip", "link", "set", "br0", "mtu", "1500")
			for i, h := range l.Hosts() {
				own := fmt.Sprintf("172.31.255.%d", i+1)
				h.Exec(t, "ip", "address", "add", own+"/32", "dev", "lo")
				h.Exec(t, "ip", "route", "replace", "default", "via", lab.Gateway.String(), "src", own)
				l.Switch.Exec(t, "ip", "route", "add", own+"/32", "via", h.Addr.String())
			}
			for i, h := range l.Hosts() {
				own := fmt.Sprintf("172.31.255.%d", i+1)
				args := slices.Clone(c.args)
				for j := range args {
					args[j] = strings.ReplaceAll(args[j], "OWN", own)
				}
				if h == h2 {
					args = append(args, "--join", "172.31.255.1")
				}
				h.Start(args...).WaitReady(ready)
				if s := h.Status(); s.Endpoint != own+":8285" || s.Device.MTU != 1472 {
					t.Errorf("%s: at %s, MTU %d", h.NodeName, s.Endpoint, s.Device.MTU)
				}
			}
			l.WaitConverged(2)
			h1.Pod().Reachable(t, h2.Pod().Addr, 5*time.Second)
		})
	}
}

func TestInterfaceIsFoundByItsAlternativeName(t *testing.T) {
	t.Parallel()
	h := lab.New(t).Host()
	h.Exec(t, "ip", "link", "property", "add", "dev", "eth0", "altname", "enp0s3underlay")
	h.Exec(t, "ip", "route", "delete", "default")
	h.Start("--iface", "enp0s3underlay").WaitReady(ready)
	if got := h.Status().Underlay.Address; got != h.Addr.String() {
		t.Errorf("it is at %s", got)
	}
}

// The device continues to forward under any name. But its rules and the
// operator look for the old one.
func TestRenamedOverlayDeviceGetsItsNameBack(t *testing.T) {
	t.Parallel()
	_, h1, h2 := duo(t)
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	h2.Exec(t, "sh", "-c", "ip link set flannel0 down; ip link set flannel0 name other0; ip link set other0 up")
	h2.Daemon.WaitLog("device is called other0", 10*time.Second)
	lab.Eventually(t, 10*time.Second, "the device to be back", func() error {
		return lab.Expect(h2.Status().Device.State == "up", "%+v", h2.Status().Device)
	})
	p1.Reachable(t, p2.Addr, 10*time.Second)
	p2.Reachable(t, p1.Addr, 10*time.Second)
}

func TestRenamedUnderlayInterfaceIsFollowed(t *testing.T) {
	t.Parallel()
	_, h1, h2 := duo(t)
	h2.Exec(t, "sh", "-c", "ip link set eth0 down; ip link set eth0 name wan0; ip link set wan0 up; ip route replace default via "+lab.Gateway.String())
	var s struct {
		Underlay struct{ Interface string }
	}
	lab.Eventually(t, 10*time.Second, "status to name it", func() error {
		if err := h2.JSON(&s, "status"); err != nil {
			return err
		}
		return lab.Expect(s.Underlay.Interface == "wan0", "%+v", s)
	})
	endpointIs(t, h2, h1, h2.Addr.String(), 30*time.Second)
	noProblems(t, h2, "underlay")
}

// A VPN is up before flanneld starts, and has the default route.
func TestStartWhereNoSeedIsReachedEndsElsewhere(t *testing.T) {
	t.Parallel()
	l, h1 := founder(t)
	h2 := l.Host()
	h2.Exec(t, "sh", "-c", "ip link add vpn0 type veth peer name vpn1; ip link set vpn1 up; ip link set vpn0 up; "+
		"ip address add 10.8.0.2/24 dev vpn0; ip route replace default via 192.168.50.1 metric 600; ip route del default metric 0 2>/dev/null; ip route add default dev vpn0 metric 50")
	h2.Start("--join", h1.Addr.String()).WaitReady(40 * time.Second)
	endpointIs(t, h2, h1, h2.Addr.String(), 20*time.Second)
	mentions(t, "the log", h2.Daemon.Log(), "moved to another underlay address", "members answer there")
	h1.Pod().Reachable(t, h2.Pod().Addr, 10*time.Second)
}

// An address that comes and goes, beside a VPN that could be moved to.
func TestUnderlayThatFlapsIsSurvived(t *testing.T) {
	t.Parallel()
	l, h1, h2 := duo(t)
	lease := h2.Lease()
	p1, p2 := h1.Pod(), h2.Pod()
	h2.Exec(t, "sh", "-c", "ip link add vpn0 type veth peer name vpn1; ip link set vpn1 up; ip link set vpn0 up; ip address add 10.8.0.2/24 dev vpn0; ip route add default dev vpn0 metric 50")
	for range 8 {
		h2.Exec(t, "sh", "-c", "ip address flush dev eth0; sleep 0.7; ip address add "+h2.Addr.String()+"/24 dev eth0; ip route replace default via "+lab.Gateway.String()+"; sleep 0.7")
	}
	endpointIs(t, h2, h1, h2.Addr.String(), 60*time.Second)
	l.WaitConverged(2)
	p1.Reachable(t, p2.Addr, 10*time.Second)
	if moves := strings.Count(h2.Daemon.Log(), "moved to another underlay address"); moves > 2 {
		t.Errorf("it moved %d times", moves)
	}
	if h2.Lease() != lease || h2.Daemon.Ended() {
		t.Errorf("host2 has %v, it had %v", h2.Lease(), lease)
	}
}

func TestDeviceDeletedWhileTheAddressIsAwayIsMadeLater(t *testing.T) {
	t.Parallel()
	_, h1, h2 := duo(t)
	p1, p2 := h1.Pod(), h2.Pod()
	h2.Exec(t, "sh", "-c", "ip address flush dev eth0; ip link delete flannel0")
	h2.Daemon.WaitLog("this host does not have the address", 10*time.Second)
	<-time.After(2 * time.Second) // to see that it continues
	if h2.Daemon.Ended() {
		t.Fatalf("it has ended:\n%s", h2.Daemon.Log())
	}
	h2.Exec(t, "sh", "-c", "ip address add "+h2.Addr.String()+"/24 dev eth0; ip route replace default via "+lab.Gateway.String())
	endpointIs(t, h2, h1, h2.Addr.String(), 60*time.Second)
	p1.Reachable(t, p2.Addr, 15*time.Second)
}
