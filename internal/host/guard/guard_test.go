// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flanneld/internal/host"
	"flanneld/internal/host/firewall"
	"flanneld/internal/host/link"
	"flanneld/internal/host/pathrules"
	"flanneld/internal/host/ports"
	"flanneld/internal/host/ruleset"
	"flanneld/internal/packet"
	"flanneld/internal/problem"
)

// socket is a control socket that is always in place.
type socket struct{}

func (socket) Name() string                             { return "control" }
func (socket) Ensure(context.Context) ([]string, error) { return nil, nil }
func (socket) Check(context.Context) ([]string, error)  { return nil, nil }
func (socket) Remove(context.Context) error             { return nil }

// newGuard makes a guard of a device that does not exist.
func newGuard(t *testing.T) (*Guard, *problem.Board) {
	t.Helper()
	dir := t.TempDir()
	parts, err := NewParts(Places{
		Device: "flannel-none", RunDir: dir, Socket: socket{},
		SubnetFile: filepath.Join(dir, "subnet.env"), DockerFile: filepath.Join(dir, "docker"),
	})
	if err != nil {
		t.Fatal(err)
	}
	board := problem.NewBoard(slog.New(slog.DiscardHandler))
	return New(parts, ruleset.NewHub(), board, slog.New(slog.DiscardHandler)), board
}

// stuckSocket is a control socket that no Ensure returns from, until it is
// released.
type stuckSocket struct {
	socket
	release chan struct{}
}

func (s stuckSocket) Ensure(context.Context) ([]string, error) { <-s.release; return nil, nil }

// A loop that does not come back from a part is named, and no other is.
func TestALoopThatHangsIsNamed(t *testing.T) {
	g, _ := newGuard(t)
	stuck := stuckSocket{release: make(chan struct{})}
	g.parts.Socket = stuck
	if got := g.Hanging(0); len(got) != len(g.pulses) {
		t.Fatalf("of %d loops, %q have a time", len(g.pulses), got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var loops sync.WaitGroup
	loops.Go(func() { g.deviceLoop(ctx) })
	defer loops.Wait()
	defer cancel()
	host.Poke(g.deviceWake)
	until := func(want ...string) {
		t.Helper()
		for range 500 {
			if slices.Equal(g.Hanging(20*time.Millisecond), want) {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("%q hang, want %q", g.Hanging(20*time.Millisecond), want)
	}
	until(problem.PartDevice)
	close(stuck.release)
	until()
}

var testRules = firewall.Config{
	Network: netip.MustParsePrefix("10.244.0.0/16"), Lease: netip.MustParsePrefix("10.244.7.0/24"), Device: "flannel-none",
}

// An iptables that takes long is reported while it runs, and not afterwards.
func TestSlowRunsOfIPTablesAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, board := newGuard(t)
		end := g.reportIfSlow(time.Second)
		time.Sleep(time.Minute)
		if all := board.All(); len(all) != 1 || !strings.Contains(all[0].Text, "has not ended") || all[0].Advice == "" {
			t.Errorf("during the run: %+v", all)
		}
		end()
		board.Report("firewall")
		end = g.reportIfSlow(time.Hour)
		time.Sleep(time.Minute)
		end()
		time.Sleep(2 * time.Hour)
		if all := board.All(); len(all) != 0 {
			t.Errorf("after the run: %+v", all)
		}
	})
}

func TestOutcomesOfIPTablesReachStatus(t *testing.T) {
	g, board := newGuard(t)
	w := &rulesWatch{}
	for _, c := range []struct {
		err      error
		state    RuleState
		problems int
	}{
		{nil, RulesInPlace, 0},
		{firewall.ErrNoIPTables, RulesLeft, 0},
		{host.Advise(firewall.ErrHangs, firewall.LockAdvice), RulesFailed, 1},
		{errors.New("exit status 4"), RulesFailed, 1},
		{nil, RulesInPlace, 0},
	} {
		g.reportRules(w, c.err, false)
		s := g.State()
		if s.Firewall != c.state || (s.FirewallNote == "") != (c.state == RulesInPlace) || len(board.All()) != c.problems {
			t.Errorf("%v: %+v, %+v", c.err, s, board.All())
		}
	}
	g.overruled = "a rule drops it"
	if s := g.State(); s.Firewall != RulesOverruled || s.FirewallNote != g.overruled {
		t.Errorf("overruled: %+v", s)
	}
}

// Rules that are taken away all the time are a problem; a few changes are not,
// and it ends when the changes do.
func TestFightWithAnotherProgramIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f fight
		for i := range fightRepairs - 1 {
			if _, fights := f.add(true, "flusher"); fights {
				t.Fatalf("a fight after %d repairs", i+1)
			}
		}
		if p, fights := f.add(true, "flusher"); !fights || p.Text != "firewall rules are taken away again and again by flusher" {
			t.Errorf("got %+v, %t", p, fights)
		}
		if p, _ := f.add(true, ""); !strings.Contains(p.Text, "another program") {
			t.Errorf("program not known: %+v", p)
		}
		time.Sleep(2 * fightTime)
		if _, fights := f.add(false, "flusher"); fights {
			t.Error("it does not end")
		}
	})
}

func TestTickLooksAgainAtWhatNothingReports(t *testing.T) {
	for name, c := range map[string]struct {
		w     rulesWatch
		state RuleState
		idle  time.Duration // since the last look
		want  bool
	}{
		"all well":            {rulesWatch{live: true}, RulesInPlace, 10 * time.Second, false},
		"rarely":              {rulesWatch{live: true}, RulesInPlace, rareInterval, true},
		"no reports":          {rulesWatch{}, RulesInPlace, 2 * time.Second, true},
		"no reports, just so": {rulesWatch{}, RulesInPlace, time.Second / 2, false},
		"no iptables":         {rulesWatch{live: true}, RulesLeft, time.Second, true},
		"first failure":       {rulesWatch{live: true, failures: 1}, RulesFailed, 6 * time.Second, true},
		"second failure":      {rulesWatch{live: true, failures: 2}, RulesFailed, 6 * time.Second, false},
		"many failures":       {rulesWatch{live: true, failures: 20}, RulesFailed, maxRetry, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			looks := 0
			wake := make(chan struct{}, 1)
			l := host.Loop{
				Every: time.Hour, Pace: pace, Wake: wake, Round: func(context.Context) { looks++ },
				OnWake: func(s *host.Schedule) {
					if s.Looked() {
						c.w.tick(s, c.state)
					} else {
						s.Now()
					}
				},
			}
			ctx, cancel := context.WithCancel(t.Context())
			go l.Run(ctx)
			host.Poke(wake)
			time.Sleep(c.idle)
			synctest.Wait()
			host.Poke(wake)
			synctest.Wait()
			if got := looks == 2; got != c.want {
				t.Errorf("%s: looked again %t", name, got)
			}
			cancel()
			synctest.Wait()
		})
	}
}

// A change of our chains is answered, one of other chains or of rules that were
// just written is not.
func TestOnlyChangesThatConcernOurRulesAreAnswered(t *testing.T) {
	rules, err := firewall.New(testRules)
	if err != nil {
		t.Fatal(err)
	}
	legacy, err := ruleset.Legacy()
	if err != nil {
		t.Fatal(err)
	}
	ours := map[ruleset.Chain]bool{{Family: ruleset.FamilyIPv4, Table: "filter", Name: "FORWARD"}: true}
	other := map[ruleset.Chain]bool{{Family: ruleset.FamilyInet, Table: "x", Name: "FORWARD"}: true}
	for name, c := range map[string]struct {
		change ruleset.Change
		t      *target
		legacy string // fingerprint at the last look
		want   bool
	}{
		"our chain":             {ruleset.Change{Program: "dockerd", Chains: ours}, &target{rules: rules}, legacy, true},
		"everything":            {ruleset.Change{All: true}, &target{rules: rules}, legacy, true},
		"another chain":         {ruleset.Change{Program: "nft", Chains: other}, &target{rules: rules}, legacy, false},
		"no data plane":         {ruleset.Change{Chains: ours}, nil, legacy, false},
		"legacy":                {ruleset.Change{Legacy: true}, &target{rules: rules}, legacy + "x", true},
		"our own legacy tables": {ruleset.Change{Legacy: true}, &target{rules: rules}, legacy, false},
	} {
		looks := 0
		w := &rulesWatch{legacy: c.legacy}
		synctest.Test(t, func(t *testing.T) {
			wake := make(chan struct{}, 1)
			l := host.Loop{
				Every: time.Hour, Pace: pace, Wake: wake, Round: func(context.Context) { looks++ },
				OnWake: func(s *host.Schedule) { w.changed(s, c.change, c.t) },
			}
			ctx, cancel := context.WithCancel(t.Context())
			go l.Run(ctx)
			host.Poke(wake)
			time.Sleep(time.Minute)
			cancel()
			synctest.Wait()
		})
		if got := looks == 1; got != c.want {
			t.Errorf("%s: %d looks", name, looks)
		}
		if c.want && w.program != c.change.Program {
			t.Errorf("%s: changed by %q", name, w.program)
		}
	}
}

// Rules that cannot be read are no problem of status.
func TestRulesThatCannotBeJudgedAreNoProblem(t *testing.T) {
	g, board := newGuard(t)
	g.othersRound() // without a target
	// Keep would make a table on this host.
	rules, err := g.parts.Want(Target{Device: link.Config{Name: "flannel-none"}, Rules: testRules})
	if err != nil {
		t.Fatal(err)
	}
	g.target = &target{rules: rules, settled: make(chan struct{})}
	g.target.ctx, g.target.cancel = context.WithCancel(t.Context())
	g.target.cancel() // the listing of legacy tables ends at once
	g.overruled = "from before"
	g.othersRound()
	if len(board.All()) > 0 || g.overruled != "from before" {
		t.Errorf("after the end: %+v, %q", board.All(), g.overruled)
	}
	if wrong, err := (&Others{}).Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Errorf("without a lease: %q, %v", wrong, err)
	}
}

// Status may ask often: rules are read when they or the flows have changed, and
// at the pace of the guard.
func TestWhatWasJudgedHoldsForTheSameRulesAndFlows(t *testing.T) {
	o := newOthers(nil, "")
	flows := o.flows(testRules)
	fewer, long := flows[:1], time.Now().Add(-time.Hour)
	for name, c := range map[string]struct {
		last judgement
		want bool
	}{
		"no look":           {judgement{}, false},
		"just now":          {judgement{flows: flows, ended: time.Now()}, true},
		"other flows":       {judgement{flows: fewer, ended: time.Now()}, false},
		"long ago":          {judgement{flows: flows, ended: long}, false},
		"other rules":       {judgement{stamp: "other", flows: flows, ended: long}, false},
		"the same rules":    {judgement{stamp: ruleset.Stamp(), flows: flows, ended: long}, ruleset.Stamp() != ""},
		"other flows, same": {judgement{stamp: ruleset.Stamp(), flows: fewer, ended: long}, false},
	} {
		if got := c.last.holds(flows); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	o.Want(testRules)
	o.last = judgement{flows: flows, err: host.Join(errors.New("dropped")), ended: time.Now()}
	if wrong, err := o.Check(t.Context()); err != nil || !slices.Equal(wrong, []string{"dropped"}) {
		t.Errorf("found %q, %v", wrong, err)
	}
	o.looking.Lock()
	if wrong, err := o.Check(t.Context()); !errors.Is(err, host.ErrPending) || len(wrong) > 0 {
		t.Errorf("while the guard looks: %q, %v", wrong, err)
	}
}

func TestDeviceRepairsAreCounted(t *testing.T) {
	g, _ := newGuard(t)
	g.ensured(g.parts.Subnet, []string{"written"}, nil)
	g.ensured(g.parts.Device, []string{"address added"}, nil)
	g.ensured(g.parts.Device, nil, nil)
	g.DeviceRepaired()
	if got := g.State(); got.DeviceRepairs != 2 || got.Repairs["device"] != 2 || got.Repairs["subnet file"] != 0 || len(got.Repairs) != len(g.parts.List()) {
		t.Errorf("%+v", got)
	}
	g.ensured(g.parts.Subnet, []string{"written again"}, nil)
	if got := g.State().Repairs["subnet file"]; got != 1 {
		t.Errorf("%d repairs of the file", got)
	}
}

func TestUFWIsKnownByItsSwitch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ufw.conf")
	if hasLine(path, "ENABLED=yes") {
		t.Error("a missing file has a line")
	}
	if err := os.WriteFile(path, []byte("# ENABLED=yes\n ENABLED=yes\nLOGLEVEL=low"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !hasLine(path, "ENABLED=yes") || !hasLine(path, "LOGLEVEL=low") || hasLine(path, "ENABLED=no") {
		t.Error("lines are not found as they are")
	}
}

func TestListHasEveryPartOnceInTheOrderOfSetUp(t *testing.T) {
	g, _ := newGuard(t)
	var names []string
	for _, p := range g.parts.List() {
		names = append(names, p.Name())
	}
	want := "run directory, control, ports, path rules, device, forwarding, kernel paths, short-cut, addresses, firewall, subnet file, docker file, bridge, daemon.json, rules"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("got %s", got)
	}
	if _, err := NewParts(Places{Device: "a/b"}); err == nil {
		t.Error("a device with a slash was taken")
	}
}

// newOthers judges what passes by flannel0, and what reaches these members.
func newOthers(members []ports.Member, underlay string) *Others {
	return &Others{
		ports: func() ([]ports.Member, string) { return members, underlay },
		paths: func() *pathrules.Config { return nil },
	}
}

// With kernel paths, every device that packets pass by is judged, and what has
// to reach the tunnels.
func TestWhatMustPassByKernelPaths(t *testing.T) {
	o := newOthers(nil, "eth0")
	o.paths = func() *pathrules.Config {
		return &pathrules.Config{Local: netip.MustParseAddr("192.0.2.1"), Underlay: "eth0", VXLAN: true, VXLANPort: 8472, IPIP: true, Direct: true}
	}
	rules := testRules
	rules.Tunnels, rules.Direct = []string{"flannel.1", "flannel.ipip"}, "eth0"
	var got []string
	for _, f := range o.flows(rules)[2:] {
		got = append(got, fmt.Sprintf("%s: %s>%s %s>%s %d:%d", f.Name, f.In, f.Out, f.From, f.To, f.Proto, f.Port))
	}
	in, out := "by TCP from other hosts' containers to this host's, ", "by TCP from this host's containers to other hosts', "
	const there, back = " 10.244.0.0/16>10.244.7.0/24 6:0", " 10.244.7.0/24>10.244.0.0/16 6:0"
	want := []string{
		in + "by flannel.1: flannel.1>" + there, out + "by flannel.1: >flannel.1" + back,
		in + "by flannel.ipip: flannel.ipip>" + there, out + "by flannel.ipip: >flannel.ipip" + back,
		in + "directly by eth0: eth0>" + there, out + "directly by eth0: >eth0" + back,
		"to the VXLAN port (UDP 8472): eth0> invalid Prefix>192.0.2.1/32 17:8472",
		"by IPIP (IP protocol 4): eth0> invalid Prefix>192.0.2.1/32 4:0",
		"by ICMP that proves the path flannel.1, from other hosts to 10.244.7.0: flannel.1> 10.244.0.0/16>10.244.7.0/32 1:0",
		"by ICMP that proves the path flannel.ipip, from other hosts to 10.244.7.0: flannel.ipip> 10.244.0.0/16>10.244.7.0/32 1:0",
		"by ICMP that proves the direct path, from other hosts to 10.244.7.0: eth0> 10.244.0.0/16>10.244.7.0/32 1:0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// What leaves the host is judged by every device, to a lease that is not ours.
func TestWhatMustKeepItsSource(t *testing.T) {
	rules := testRules
	rules.Tunnels, rules.Direct = []string{"flannel.1"}, "eth0"
	var got []string
	for _, f := range sourceFlows(rules) {
		got = append(got, fmt.Sprintf("%s %s>%s", f.Out, f.From, f.To))
	}
	const way = " 10.244.7.0/24>10.244.6.0/24"
	if want := []string{"flannel-none" + way, "flannel.1" + way, "eth0" + way}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	rules.Lease = netip.MustParsePrefix("10.244.128.0/17")
	if f := sourceFlows(rules)[0]; f.To != netip.MustParsePrefix("10.244.0.0/17") {
		t.Errorf("to %s", f.To)
	}
	rules.Lease = rules.Network
	if flows := sourceFlows(rules); len(flows) > 0 {
		t.Errorf("there is no other lease, and %+v", flows)
	}
}

func TestWhatMustPassIsEveryPortOfThisHost(t *testing.T) {
	o := newOthers([]ports.Member{
		{Addr: netip.MustParseAddr("192.0.2.1"), Data: 8285, Gossip: 8286, Self: true},
		{Addr: netip.MustParseAddr("192.0.2.2"), Data: 8285},
	}, "eth0")
	if changes, err := o.Ensure(t.Context()); err != nil || changes != nil {
		t.Errorf("before there is a lease: %q, %v", changes, err)
	}
	flows := o.flows(testRules)
	var names []string
	for _, f := range flows {
		names = append(names, f.Name)
	}
	if got := strings.Join(names[2:], ", "); len(flows) != 5 || got != "to the data port (UDP 8285), to the gossip port (TCP 8286), to the gossip port (UDP 8286)" {
		t.Errorf("got %s", got)
	}
	if f := flows[2]; f.In != "eth0" || f.To.String() != "192.0.2.1/32" || f.Port != 8285 {
		t.Errorf("got %+v", f)
	}
	o.ports = func() ([]ports.Member, string) { return nil, "" }
	if got := len(o.flows(testRules)); got != 2 {
		t.Errorf("%d flows without members", got)
	}
}

func TestAdviceIsInTheWordsOfTheProgram(t *testing.T) {
	forward := ruleset.Flow{Name: "x", From: testRules.Lease, To: testRules.Network, Proto: packet.TCP}
	port := ruleset.Flow{Name: "to the data port", Proto: packet.UDP, Port: 8285}
	ipip := ruleset.Flow{Name: "by IPIP", Proto: protoIPIP}
	ping := ruleset.Flow{Name: "by ICMP", From: testRules.Network, Proto: packet.ICMP}
	chain := func(family ruleset.Family, table, name string) ruleset.Chain {
		return ruleset.Chain{Family: family, Table: table, Name: name}
	}
	for _, c := range []struct {
		b            ruleset.Blocked
		text, advice string
	}{
		{ruleset.Blocked{Flow: forward, Chain: chain(ruleset.FamilyInet, "firewalld", "f"), Hook: "forward"},
			"forward of nf_tables' table inet firewalld", "--zone=trusted --add-source=10.244.0.0/16"},
		{ruleset.Blocked{Flow: forward, Chain: chain(ruleset.FamilyIPv4, "docker-bridges", "filter-FORWARD"), Hook: "forward"},
			"table ip docker-bridges", `"bridge-accept-fwmark": "0x10000000/0x10000000" in /etc/docker/daemon.json`},
		{ruleset.Blocked{Flow: port, Chain: chain(ruleset.FamilyInet, "firewalld", "i"), Hook: "input"},
			"to the data port is dropped in input", "--add-port=8285/udp"},
		{ruleset.Blocked{Flow: forward, Chain: chain(ruleset.FamilyIPv4, "filter", "FORWARD"), Why: "rule of chain ufw-x"},
			"table ip filter", "ufw route allow from 10.244.0.0/16 to 10.244.0.0/16"},
		{ruleset.Blocked{Flow: port, Chain: chain(ruleset.FamilyIPv4, "filter", "INPUT"), Why: "rule of chain ufw-x"},
			"table ip filter", "ufw allow 8285/udp"},
		{ruleset.Blocked{Flow: port, Chain: chain(0, "filter", "INPUT"), Legacy: true},
			"iptables-legacy's table filter", "iptables-legacy -I INPUT -p udp --dport 8285 -j ACCEPT"},
		{ruleset.Blocked{Flow: forward, Chain: chain(0, "filter", "FORWARD"), Legacy: true, Why: "policy DROP"},
			"policy DROP", "iptables-legacy -P FORWARD ACCEPT"},
		{ruleset.Blocked{Flow: forward, Chain: chain(0, "mangle", "FORWARD"), Legacy: true, Why: "rule 1"},
			"table mangle", "iptables-legacy -t mangle -I FORWARD -s 10.244.7.0/24 -d 10.244.0.0/16 -j ACCEPT"},
		{ruleset.Blocked{Flow: ipip, Chain: chain(ruleset.FamilyInet, "firewalld", "i"), Hook: "input"},
			"traffic by IPIP is dropped", "--add-protocol=ipip"},
		{ruleset.Blocked{Flow: ipip, Chain: chain(ruleset.FamilyIPv4, "filter", "INPUT"), Why: "rule of chain ufw-x"},
			"table ip filter", "add -A ufw-before-input -p 4 -j ACCEPT to /etc/ufw/before.rules"},
		{ruleset.Blocked{Flow: ipip, Chain: chain(0, "filter", "INPUT"), Legacy: true},
			"iptables-legacy's table filter", "iptables-legacy -I INPUT -p 4 -j ACCEPT"},
		{ruleset.Blocked{Flow: ipip, Chain: chain(ruleset.FamilyInet, "x", "i")},
			"table inet x", "nft insert rule inet x i meta l4proto 4 accept"},
		{ruleset.Blocked{Flow: ping, Chain: chain(ruleset.FamilyInet, "firewalld", "i"), Hook: "input"},
			"traffic by ICMP is dropped", "--zone=trusted --add-source=10.244.0.0/16"},
		{ruleset.Blocked{Flow: ping, Chain: chain(ruleset.FamilyIPv4, "filter", "INPUT"), Why: "rule of chain ufw-x"},
			"table ip filter", "add -A ufw-before-input -p icmp --icmp-type echo-request -j ACCEPT to /etc/ufw/before.rules"},
		{ruleset.Blocked{Flow: ping, Chain: chain(0, "filter", "INPUT"), Legacy: true, Hook: "input"},
			"iptables-legacy's table filter", "iptables-legacy -t filter -I INPUT -s 10.244.0.0/16 -p icmp --icmp-type echo-request -j ACCEPT"},
		{ruleset.Blocked{Flow: ping, Chain: chain(ruleset.FamilyInet, "x", "i"), Hook: "input"},
			"table inet x", "nft insert rule inet x i ip saddr 10.244.0.0/16 icmp type echo-request accept"},
		{ruleset.Blocked{Flow: port, Chain: chain(ruleset.FamilyInet, "x", "p"), Hook: "prerouting"},
			"table inet x", "nft insert rule inet x p udp dport 8285 accept"},
		{ruleset.Blocked{Flow: forward, Chain: chain(ruleset.FamilyIPv4, "x", "f")},
			"table ip x", "nft insert rule ip x f ip saddr 10.244.7.0/24 ip daddr 10.244.0.0/16 accept"},
	} {
		if got := describe(c.b); !strings.Contains(got, c.text) {
			t.Errorf("%q does not name %q", got, c.text)
		}
		if got := adviceFor(c.b, testRules.Network); !strings.Contains(got, c.advice) {
			t.Errorf("advice %q, want %q", got, c.advice)
		}
	}
}

// A lease may be divided among bridges. Rules that stop packets to one are
// found by the flows to it.
func TestTrafficMustPassToEachBridgeOfTheLease(t *testing.T) {
	want := firewall.Config{Device: "flannel0", Network: netip.MustParsePrefix("10.244.0.0/16"), Lease: netip.MustParsePrefix("10.244.7.0/24"),
		Tunnels: []string{"flannel.1"}, Direct: "eth0"}
	for _, bridges := range [][]string{nil, {"docker0"}, {"docker0", "br-web"}} {
		flows := bridgeFlows(want, bridges)
		if len(flows) != max(1, len(bridges))*6 {
			t.Errorf("%q: %d flows", bridges, len(flows))
		}
		names := map[string]bool{}
		for _, f := range flows {
			names[f.Name] = true
		}
		if len(names) != len(flows) {
			t.Errorf("%q: flows share a name: %+v", bridges, flows)
		}
		for _, b := range bridges {
			for _, device := range []string{"flannel0", "flannel.1", "eth0"} {
				if !slices.ContainsFunc(flows, func(f ruleset.Flow) bool { return f.In == device && f.Out == b }) ||
					!slices.ContainsFunc(flows, func(f ruleset.Flow) bool { return f.In == b && f.Out == device }) {
					t.Errorf("%q: no flow both ways between %s and %s", bridges, device, b)
				}
			}
		}
	}
}
