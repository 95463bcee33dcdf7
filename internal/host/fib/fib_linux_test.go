// SPDX-License-Identifier: Apache-2.0

package fib

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"flanneld/internal/host/rtnl"
)

var deviceNames = map[int]string{2: "eth0", 3: "eth1"}

// The text of a route is what `ip route del` is given.
func TestRoutesAreShownAsTheCommandTakesThem(t *testing.T) {
	to := rtnl.IPNet(prefix("10.244.9.0/24"))
	router := net.ParseIP("192.0.2.254")
	for want, r := range map[string]netlink.Route{
		"0.0.0.0/0 via 192.0.2.254 dev eth0":                              {LinkIndex: 2, Gw: router},
		"10.244.9.0/24 dev eth0":                                          {Dst: to, LinkIndex: 2},
		"10.244.9.0/24 via 192.0.2.254 dev eth0":                          {Dst: to, LinkIndex: 2, Gw: router, Table: unix.RT_TABLE_MAIN},
		"10.244.9.0/24 dev eth0 table 100 metric 7":                       {Dst: to, LinkIndex: 2, Table: 100, Priority: 7},
		"local 10.244.9.0/24 dev eth0 table local":                        {Dst: to, LinkIndex: 2, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL},
		"10.244.9.0/24 dev eth0 table default":                            {Dst: to, LinkIndex: 2, Type: unix.RTN_UNICAST, Table: unix.RT_TABLE_DEFAULT},
		"blackhole 10.244.9.0/24":                                         {Dst: to, LinkIndex: 2, Type: unix.RTN_BLACKHOLE},
		"unreachable 10.244.9.0/24 metric 4278198272":                     {Dst: to, LinkIndex: 2, Type: unix.RTN_UNREACHABLE, Priority: 4278198272},
		"prohibit 10.244.9.0/24":                                          {Dst: to, LinkIndex: 2, Type: unix.RTN_PROHIBIT},
		"throw 10.244.9.0/24 table 100":                                   {Dst: to, Type: unix.RTN_THROW, Table: 100},
		"10.244.9.0/24 nexthop via 192.0.2.254 dev eth0 nexthop dev eth1": {Dst: to, MultiPath: []*netlink.NexthopInfo{{LinkIndex: 2, Gw: router}, {LinkIndex: 3}}},
	} {
		if got := routeText(r, deviceNames); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// The kernel makes routes for addresses of devices, and makes them again.
func TestRoutesOfTheKernelAreNotToBeRemoved(t *testing.T) {
	if got := removal(netlink.Route{Protocol: unix.RTPROT_KERNEL}, "10.244.9.0/24 dev eth0"); got != "" {
		t.Errorf("got %q", got)
	}
	if got := removal(netlink.Route{Protocol: unix.RTPROT_BOOT}, "10.244.9.0/24 dev eth0"); got != "ip route del 10.244.9.0/24 dev eth0" {
		t.Errorf("got %q", got)
	}
}

// Two rules that decide otherwise have two texts: else a change is not seen.
func TestRulesThatDecideOtherwiseHaveOtherTexts(t *testing.T) {
	mask := func(m uint32) *uint32 { return &m }
	plain := func() netlink.Rule {
		r := *netlink.NewRule()
		r.Priority, r.Table, r.Type = 100, 51820, unix.RTN_UNICAST
		return r
	}
	seen := map[string]string{ruleText(plain()): "plain"}
	if again := ruleText(plain()); seen[again] != "plain" {
		t.Errorf("one rule has two texts: %q", again)
	}
	for name, change := range map[string]func(*netlink.Rule){
		"priority":         func(r *netlink.Rule) { r.Priority = 101 },
		"table":            func(r *netlink.Rule) { r.Table = 51821 },
		"source":           func(r *netlink.Rule) { r.Src = rtnl.IPNet(prefix("10.244.1.0/24")) },
		"destination":      func(r *netlink.Rule) { r.Dst = rtnl.IPNet(prefix("10.244.1.0/24")) },
		"type":             func(r *netlink.Rule) { r.Type = unix.RTN_BLACKHOLE },
		"mark":             func(r *netlink.Rule) { r.Mark = 1 },
		"mark and mask":    func(r *netlink.Rule) { r.Mark, r.Mask = 1, mask(0xff) },
		"another mask":     func(r *netlink.Rule) { r.Mark, r.Mask = 1, mask(0xf) },
		"not this mark":    func(r *netlink.Rule) { r.Mark, r.Invert = 1, true },
		"not":              func(r *netlink.Rule) { r.Invert = true },
		"class":            func(r *netlink.Rule) { r.Tos = 16 },
		"goto":             func(r *netlink.Rule) { r.Goto = 200 },
		"input":            func(r *netlink.Rule) { r.IifName = "eth0" },
		"output":           func(r *netlink.Rule) { r.OifName = "eth0" },
		"suppressed":       func(r *netlink.Rule) { r.SuppressPrefixlen = 0 },
		"group":            func(r *netlink.Rule) { r.SuppressIfgroup = 1 },
		"protocol":         func(r *netlink.Rule) { r.IPProto = 17 },
		"destination port": func(r *netlink.Rule) { r.Dport = netlink.NewRulePortRange(53, 53) },
		"source port":      func(r *netlink.Rule) { r.Sport = netlink.NewRulePortRange(53, 53) },
		"user":             func(r *netlink.Rule) { r.UIDRange = netlink.NewRuleUIDRange(53, 53) },
	} {
		r := plain()
		change(&r)
		text := ruleText(r)
		if other, taken := seen[text]; taken {
			t.Errorf("%s is shown like %s: %q", name, other, text)
		}
		seen[text] = name
	}
}

// The kernel answers with an error number where a route leads nowhere.
func TestErrorsOfTheKernelAreAnswers(t *testing.T) {
	for errno, want := range map[unix.Errno]string{
		unix.EINVAL: "blackhole", unix.EACCES: "prohibit", unix.EHOSTUNREACH: "unreachable",
		unix.ENETUNREACH: "no route", unix.ESRCH: "no route", unix.EXDEV: "rp_filter",
	} {
		a, err := refusal(fmt.Errorf("wrapped: %w", errno))
		if err != nil || a.Device != "" || !strings.Contains(a.Text, want) {
			t.Errorf("%v: %+v, %v, want %q", errno, a, err, want)
		}
	}
	if a, err := refusal(unix.EPERM); !errors.Is(err, unix.EPERM) || a != (Answer{}) {
		t.Errorf("an error that is no answer: %+v, %v", a, err)
	}
}

// A route of several next hops may lead to several devices.
func TestNextHopsByTwoDevicesAreTwoDevices(t *testing.T) {
	for want, indexes := range map[string][]int{"eth0": {2, 2}, "eth1": {3}, "eth0, eth1": {2, 3, 2}, "eth1, eth0": {3, 2}} {
		var r netlink.Route
		for _, i := range indexes {
			r.MultiPath = append(r.MultiPath, &netlink.NexthopInfo{LinkIndex: i})
		}
		if got := devices(r, deviceNames); got != want {
			t.Errorf("%v: %q, want %q", indexes, got, want)
		}
	}
	for want, index := range map[string]int{"eth0": 2, "": 0} { // 0: a route that leads nowhere
		if got := devices(netlink.Route{LinkIndex: index}, deviceNames); got != want {
			t.Errorf("one next hop: %q, want %q", got, want)
		}
	}
}

// A bridge can be gone by the time of the question: that is no answer.
func TestOriginThatIsGoneIsAnError(t *testing.T) {
	from := Origin{Device: "no-such-bridge"}
	if a, err := Ask(netip.MustParseAddr("127.0.0.1"), from); err == nil {
		t.Errorf("got %+v", a)
	}
	d, err := Detours(Host{}, network, prefix("10.244.1.0/24"), "flannel0", []Origin{from})
	if err == nil || d != nil {
		t.Errorf("detours %+v, %v", d, err)
	}
}

// The lists of this host are read without privilege. A network that no route
// is about has no dividers.
func TestHostIsReadWithoutPrivilege(t *testing.T) {
	documentation := prefix("203.0.113.0/24")
	h, err := Read(documentation, "flannel0")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range h.Dividers {
		if !d.Prefix.Overlaps(documentation) {
			t.Errorf("%+v divides nothing of %s", d, documentation)
		}
	}
	if again, err := Read(documentation, "flannel0"); err != nil || again.Signature != h.Signature {
		t.Errorf("two readings: %q and %q, %v", h.Signature, again.Signature, err)
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	changes, err := Watch(ctx)
	if err != nil || cap(changes) != 1 {
		t.Fatalf("capacity %d, %v", cap(changes), err)
	}
	cancel()
	select {
	case <-changes: // perhaps something changed before
	case <-time.After(10 * time.Millisecond):
	}
}
