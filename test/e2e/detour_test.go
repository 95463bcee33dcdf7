// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"flanneld/test/lab"
)

// detour is a change that another program may make to the routing of host1. It
// also has the command that undoes it, and what status reports meanwhile.
type detour struct {
	name, do, undo string
	words          []string
}

// detours are the ones in the way of packets to the container p2 of h2.
func detours(h1, h2 *lab.Host, p2 *lab.Pod) []detour {
	lease := h2.Lease()
	half := strings.Replace(lease.String(), "/24", "/25", 1)
	return []detour{
		{"a longer route", "ip route add " + half + " dev x0", "ip route del " + half + " dev x0", []string{half, "x0", "ip route del " + half + " dev x0"}},
		{"a route to one host", "ip route add " + p2.Addr.String() + " via " + lab.Gateway.String(), "ip route del " + p2.Addr.String(),
			[]string{p2.Addr.String(), "eth0", "ip route del " + p2.Addr.String()}},
		{"a blackhole", "ip route add blackhole " + lease.String(), "ip route del blackhole " + lease.String(),
			[]string{lease.String(), "blackhole", "ip route del blackhole " + lease.String()}},
		{"a prohibition", "ip route add prohibit " + lease.String(), "ip route del prohibit " + lease.String(), []string{lease.String(), "prohibit"}},
		{"a bridge in the lease", "ip link add br-aa type bridge; ip addr add " + lease.Addr().Next().String() + "/24 dev br-aa; ip link set br-aa up", "ip link del br-aa",
			[]string{lease.String(), "br-aa", "docker network rm aa"}},
		{"a table for all", "ip route add default dev x0 table 52; ip rule add priority 100 lookup 52", "ip rule del priority 100; ip route flush table 52",
			[]string{"10.244.0.0/16", "x0", "ip route show table 52"}},
		{"a rule for a destination", "ip route add default dev x0 table 52; ip rule add priority 100 to " + lease.String() + " lookup 52", "ip rule del priority 100; ip route flush table 52",
			[]string{lease.String(), "x0"}},
		{"a rule for containers", "ip route add default dev x0 table 52; ip rule add priority 100 iif docker0 lookup 52", "ip rule del priority 100; ip route flush table 52",
			[]string{"packets of docker0 to", "x0"}},
		{"a rule for this node's sources", "ip route add default dev x0 table 52; ip rule add priority 100 from " + h1.Lease().String() + " lookup 52", "ip rule del priority 100; ip route flush table 52",
			[]string{"packets of docker0 to", "x0"}},
		{"a rule that forbids", "ip rule add priority 100 to " + lease.String() + " prohibit", "ip rule del priority 100", []string{lease.String(), "prohibit"}},
	}
}

// Another program changes the host's routing, so that packets to another host's
// lease go elsewhere. Each change is detected within seconds, and reported with
// the command to type. The problem ends with the change.
func TestDetoursAreReported(t *testing.T) {
	t.Parallel()
	l, h1, h2 := duo(t)
	h3 := l.Host()
	h3.Start("--join", h1.Addr.String()).WaitReady(ready)
	l.WaitConverged(3)
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	elsewhere(t, h1)
	for _, c := range detours(h1, h2, p2) {
		t.Run(c.name, func(t *testing.T) {
			well(t, h1, healed)
			h1.Exec(t, "sh", "-c", c.do)
			ill(t, h1, 5*time.Second, append(c.words, "cuts off", "host2")...)
			var r lab.Route
			if err := h1.JSON(&r, "route", "get", p2.Addr.String()); err != nil {
				t.Fatal(err)
			}
			inTheWay := ""
			for _, k := range r.Kernel {
				if k.InTheWay {
					inTheWay += k.From + " "
				}
			}
			if r.Kind != "via" || !strings.Contains(inTheWay, "docker0") {
				t.Errorf("route get: %+v", r)
			}
			nodes, err := h1.Nodes()
			if err != nil {
				t.Fatal(err)
			}
			if note := nodes.Find("host2").Note; !strings.Contains(note, "do not go to flannel0") {
				t.Errorf("the note of host2 is %q", note)
			}
			if a := p1.Ping(t, lab.Echo{To: p2.Addr, Wait: 300 * time.Millisecond}); a.From.IsValid() && a.Type == ipv4.ICMPTypeEchoReply {
				t.Error("and yet the container is reached")
			}
			h1.Exec(t, "sh", "-c", c.undo)
			well(t, h1, healed)
			p1.Reachable(t, p2.Addr, 5*time.Second)
		})
	}
	if n := strings.Count(h1.Daemon.Log(), "problem found"); n > 14 {
		t.Errorf("%d problems were logged", n)
	}
}

// Routes and rules that do not affect the overlay's way are no problem: wider
// routes, other tables, rules for marked packets, or routes in a part that no
// node holds.
func TestHarmlessRoutesAreNoProblem(t *testing.T) {
	t.Parallel()
	_, h1, h2 := duo(t)
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	elsewhere(t, h1)
	for _, do := range []string{
		"ip route add 10.0.0.0/8 dev x0",
		"ip route add 0.0.0.0/1 dev x0; ip route add 128.0.0.0/1 dev x0",
		"ip route add " + h2.Lease().String() + " dev x0 table 99",
		"ip route add default dev x0 table 98; ip rule add priority 200 fwmark 0x1 lookup 98",
		"ip rule add priority 201 from 203.0.113.0/24 lookup 98",
		"ip rule add priority 202 lookup main suppress_prefixlength 0; ip rule add priority 203 not fwmark 0xca6c lookup 98", // as wg-quick does
	} {
		h1.Exec(t, "sh", "-c", do)
		p1.Reachable(t, p2.Addr, 5*time.Second)
		time.Sleep(1500 * time.Millisecond)
		well(t, h1, healed)
	}
	var r lab.Route
	if err := h1.JSON(&r, "route", "get", p2.Addr.String()); err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(r.Kernel); !strings.Contains(text, "mark 0x1 x0") {
		t.Errorf("route get does not say what happens to marked packets: %s", text)
	}
}

// elsewhere makes x0, a device that leads nowhere.
func elsewhere(t *testing.T, h *lab.Host) {
	t.Helper()
	h.Exec(t, "ip", "link", "add", "x0", "type", "veth", "peer", "name", "x1")
	h.Exec(t, "ip", "link", "set", "x1", "up")
	h.Exec(t, "ip", "link", "set", "x0", "up")
}
