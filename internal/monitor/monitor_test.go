// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"flanneld/internal/dataplane"
	"flanneld/internal/host/fib"
	"flanneld/internal/host/link"
	"flanneld/internal/host/ruleset"
	"flanneld/internal/plan"
	"flanneld/internal/plan/plantest"
	"flanneld/internal/probe"
	"flanneld/internal/problem"
	"flanneld/peers"
)

// fakePlane takes packets and drops them.
type fakePlane struct {
	mu       sync.Mutex
	injected int
	sent     map[netip.AddrPort]int
	err      error
}

func (f *fakePlane) Lease() netip.Prefix   { return netip.MustParsePrefix("10.244.1.0/24") }
func (f *fakePlane) Network() netip.Prefix { return plantest.Network }
func (f *fakePlane) Link() link.Config {
	return link.Config{Name: "flannel-none", Addr: netip.MustParseAddr("10.244.1.0"), MTU: 1472, Network: plantest.Network}
}

func (f *fakePlane) Inject([]byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.injected++
	return f.err
}

func (f *fakePlane) Send(to netip.AddrPort, _ []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent[to]++
	return 0, f.err
}

// stage is a monitor with a fake plane.
type stage struct {
	*Monitor
	plane   *fakePlane
	board   *problem.Board
	current *peers.Snapshot
	crossed int
}

func newStage(t *testing.T, s *peers.Snapshot) *stage {
	t.Helper()
	st := &stage{plane: &fakePlane{sent: map[netip.AddrPort]int{}}, board: problem.NewBoard(slog.New(slog.DiscardHandler)), current: s}
	routes := dataplane.NewRoutes()
	log := slog.New(slog.DiscardHandler)
	if err := routes.Store(plan.Make(plan.Input{Snapshot: s}), s, log); err != nil {
		t.Fatal(err)
	}
	st.Monitor = New(Config{
		Plane: st.plane, Routes: routes, Snapshot: func() *peers.Snapshot { return st.current }, Port: 8285, Problems: st.board, Log: log, Rules: ruleset.NewHub(),
		Here: func() netip.Addr { return netip.MustParseAddr("192.0.2.1") }, Crossed: func() { st.crossed++ },
	})
	return st
}

// only returns the one problem that a part has; the test fails unless there is
// one.
func (st *stage) only(t *testing.T, part string) problem.Reported {
	t.Helper()
	all := st.board.All()
	if len(all) != 1 || all[0].Part != part {
		t.Fatalf("problems %+v, want one of %s", all, part)
	}
	return all[0]
}

func TestPathsAreProbedWhereGossipReportsLife(t *testing.T) {
	st := newStage(t, plantest.Snapshot(peers.Confirmed,
		plantest.Node("b", peers.Alive, 2), plantest.Node("c", peers.Suspect, 3), plantest.Node("d", peers.Dead, 4)))
	var ids []string
	for _, target := range st.proofs.targets(st.proofs.routes())[plan.PathUDP] {
		ids = append(ids, target.ID)
		if longest := target.Longest(); longest != 1472 {
			t.Errorf("%s: probes of %d bytes", target.ID, longest)
		}
		if egress, ingress := target.Traffic(); egress+ingress != 0 {
			t.Errorf("%s: traffic %d, %d", target.ID, egress, ingress)
		}
	}
	if got := strings.Join(ids, " "); got != plantest.Key("b")+" "+plantest.Key("c") {
		t.Errorf("probes %q", got)
	}
}

// The mirror's source must be no node's: its answers would go there.
func TestTheMirrorRestsWhereANodeHasItsSource(t *testing.T) {
	st := newStage(t, plantest.Snapshot(peers.Confirmed))
	targets := st.mirrorTarget()
	if len(targets) != 1 || targets[0].ID != mirrorID || targets[0].Longest() != 1472 || targets[0].Lease != st.plane.Lease() {
		t.Errorf("got %+v", targets)
	}
	st = newStage(t, plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 0)))
	if targets := st.mirrorTarget(); len(targets) != 0 {
		t.Errorf("got %+v, although node b has the source", targets)
	}
}

func TestAMirrorWithoutAnswersIsAProblem(t *testing.T) {
	st := newStage(t, plantest.Snapshot(peers.Confirmed))
	for state, word := range map[probe.State]string{probe.Failed: "packets from peers", probe.SmallOnly: "large packets from peers"} {
		st.reportMirror(probe.Result{State: state})
		if p := st.only(t, problem.PartMirror); !strings.HasPrefix(p.Text, word) || !strings.Contains(p.Advice, "rules that drop packets of flannel-none") {
			t.Errorf("%v: %+v", state, p)
		}
	}
	for _, state := range []probe.State{probe.Works, probe.Unproven} {
		if st.reportMirror(probe.Result{State: state}); len(st.board.All()) != 0 {
			t.Errorf("%v: %+v", state, st.board.All())
		}
	}
}

func TestARuleInTheWayOfTheCrossingIsAProblem(t *testing.T) {
	st := newStage(t, plantest.Snapshot(peers.Confirmed))
	for state, word := range map[probe.CrossingState]string{probe.Dropped: "drops them", probe.Forbidden: "rejects them"} {
		found := st.crossingProblems(state, "docker0")
		if len(found) != 1 || !strings.Contains(found[0].Text, "behind docker0") || !strings.Contains(found[0].Text, word) ||
			!strings.Contains(found[0].Text, "between flannel-none and docker0") || !strings.Contains(found[0].Advice, "--add-source=10.244.0.0/16") {
			t.Errorf("%v: %+v", state, found)
		}
	}
	if st.reportCrossing(); len(st.board.All()) != 0 || st.crossed != 1 {
		t.Errorf("before the first answer: %+v, crossed %d times", st.board.All(), st.crossed)
	}
}

func TestADetourNamesTheNodesThatItCutsOff(t *testing.T) {
	s := plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2), plantest.Node("c", peers.Dead, 3))
	st := newStage(t, s)
	st.surveyor.detours = []fib.Detour{{
		Prefix: netip.MustParsePrefix("10.244.2.0/23"), From: []fib.Origin{{}}, Remove: "ip route del 10.244.2.0/23",
		Answer: fib.Answer{Device: "eth1", Text: "dev eth1"},
	}}
	st.Update()
	p := st.only(t, problem.PartRoute)
	if !strings.Contains(p.Text, "packets of this host to 10.244.2.0/23 do not go to flannel-none: dev eth1") ||
		!strings.Contains(p.Text, "cuts off host-b ("+plantest.ID("b").Short()+"), host-c ("+plantest.ID("c").Short()+")") || p.Advice != "ip route del 10.244.2.0/23" {
		t.Errorf("got %+v", p)
	}
	notes := st.Detours()
	if len(notes) != 2 || len(notes[plantest.Key("b")]) != 1 || !strings.Contains(notes[plantest.Key("b")][0], "do not go to flannel-none: dev eth1") {
		t.Errorf("notes %v", notes)
	}
	// It cuts no node off any more.
	st.surveyor.detours[0].Prefix = netip.MustParsePrefix("10.244.77.0/24")
	if st.Update(); len(st.board.All()) != 0 || len(st.Detours()) != 0 {
		t.Errorf("problems %+v, notes %v", st.board.All(), st.Detours())
	}
}

func TestPeersWithALargerDeviceAreNamed(t *testing.T) {
	st := newStage(t, plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2)))
	now := time.Now()
	o := &oversize{counts: map[string]uint64{}, last: map[string]time.Time{plantest.Key("b"): now}}
	found := st.oversized(o, now)
	if len(found) != 1 || !strings.Contains(found[0].Text, "packets of host-b are larger than 1472 bytes, the MTU of flannel-none") || !strings.Contains(found[0].Advice, "--mtu 1472") {
		t.Errorf("got %+v", found)
	}
	if found := st.oversized(o, now.Add(2*oversizeTime)); len(found) != 0 {
		t.Errorf("later: %+v", found)
	}
}

// A monitor probes as long as it runs, and leaves no problem behind.
func TestAMonitorProbesUntilItEnds(t *testing.T) {
	st := newStage(t, plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2)))
	st.plane.err = errors.New("operation not permitted")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		st.Run(ctx)
	}()
	probed := func() bool {
		st.plane.mu.Lock()
		defer st.plane.mu.Unlock()
		return st.plane.sent[netip.MustParseAddrPort("192.0.2.2:8285")] > 0 && st.plane.injected > 0
	}
	for deadline := time.Now().Add(30 * time.Second); !probed(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no probes: %+v", st.plane)
		}
	}
	st.Update()
	if st.Answers([]byte("no ICMP packet")) {
		t.Error("took a packet that answers nothing")
	}
	cancel()
	<-ended
	if all := st.board.All(); len(all) != 0 {
		t.Errorf("problems of a plane that is gone: %+v", all)
	}
	if _, known := st.Paths()[plantest.Key("b")]; !known {
		t.Errorf("paths %+v", st.Paths())
	}
}

func TestOriginsAreThisHostFirst(t *testing.T) {
	all, err := Origins(netip.MustParsePrefix("10.244.1.0/24"))
	if err != nil || len(all) == 0 || all[0] != (fib.Origin{}) {
		t.Errorf("got %+v, %v", all, err)
	}
}

func TestLatestIsTheLaterOfTwo(t *testing.T) {
	a := time.Unix(1, 0)
	b := a.Add(time.Second)
	if latest(a, b) != b || latest(b, a) != b {
		t.Error("took the earlier one")
	}
}
