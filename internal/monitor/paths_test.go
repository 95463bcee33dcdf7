// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"flanneld/internal/config"
	"flanneld/internal/plan"
	"flanneld/internal/plan/plantest"
	"flanneld/internal/probe"
	"flanneld/peers"
)

func TestPathProblemsSayWhereToLook(t *testing.T) {
	here := netip.MustParseAddr("192.0.2.1")
	trouble := func(name string, static bool, r probe.Result) pathTrouble {
		return pathTrouble{Result: r, path: plan.PathUDP, name: name, static: static, endpoint: netip.MustParseAddrPort("192.0.2.2:8285")}
	}
	silent, arriving := probe.Result{State: probe.Failed}, probe.Result{State: probe.Failed, Arriving: true}
	small := probe.Result{State: probe.SmallOnly, Tried: 1472}
	refused := probe.Result{State: probe.Failed, Refused: errors.New("operation not permitted")}
	for name, c := range map[string]struct {
		troubles []pathTrouble
		probed   int
		count    int
		words    []string
	}{
		"none":                    {nil, 3, 0, nil},
		"one way":                 {[]pathTrouble{trouble("b (bb)", false, arriving)}, 3, 1, []string{"b (bb)", "192.0.2.2:8285", "packets come from it", "open UDP port 8285 on b (bb) for 192.0.2.1"}},
		"the only peer is silent": {[]pathTrouble{trouble("b", false, silent)}, 1, 1, []string{"data path to b", "nothing comes from it", "UDP port 8285 of this host"}},
		"all are silent":          {[]pathTrouble{trouble("b", false, silent), trouble("c", false, silent)}, 2, 1, []string{"no peer is reached", "open UDP port 8285 of 192.0.2.1"}},
		"large ones":              {[]pathTrouble{trouble("b", false, small)}, 3, 1, []string{"small packets only", "1472", "tracepath", "--mtu"}},
		"large ones, static":      {[]pathTrouble{trouble("b", true, small)}, 3, 1, []string{"small packets only", "smaller MTU than 1472", "--mtu"}},
		"refused":                 {[]pathTrouble{trouble("b", false, refused)}, 3, 1, []string{"this host does not send there", "operation not permitted", "ip route get 192.0.2.2"}},
		"many": {[]pathTrouble{trouble("b", false, silent), trouble("c", false, silent), trouble("d", false, silent), trouble("e", false, silent),
			trouble("f", false, silent), trouble("g", false, silent), trouble("h", false, silent)}, 9, pathsNamed + 1, []string{"more than 5 other", "flanneld nodes"}},
	} {
		got := pathProblems(c.troubles, c.probed, here, 8285, 1472)
		if len(got) != c.count {
			t.Errorf("%s: %d problems, want %d: %v", name, len(got), c.count, got)
		}
		var text strings.Builder
		for _, p := range got {
			text.WriteString(p.Text + " " + p.Advice + "\n")
		}
		for _, word := range c.words {
			if !strings.Contains(text.String(), word) {
				t.Errorf("%s: no %q in %s", name, word, text.String())
			}
		}
	}
}

func TestProblemsOfKernelPathsSayWhatHasToPass(t *testing.T) {
	here := netip.MustParseAddr("192.0.2.1")
	for p, words := range map[plan.Path][]string{
		plan.PathVXLAN:  {"UDP port 8472", "between 192.0.2.1 and 192.0.2.2"},
		plan.PathIPIP:   {"IP protocol 4"},
		plan.PathDirect: {"on one segment"},
		plan.PathUDP:    {"UDP port 8472"},
	} {
		trouble := pathTrouble{Result: probe.Result{State: probe.Failed}, path: p, name: "b", endpoint: netip.MustParseAddrPort("192.0.2.2:8472")}
		if p.Kernel() {
			words = append(words, "flanneld ping b", string(p)+" path to b at 192.0.2.2 does not work")
		} else {
			trouble.why = "no path leads to it: udp (the node does not take it)"
			words = append(words, "b at 192.0.2.2 is not reached: no path leads to it", "another path")
		}
		got := pathProblems([]pathTrouble{trouble, trouble}, 2, here, 8285, 1450)
		if len(got) != 2 {
			t.Fatalf("%s: %v", p, got)
		}
		for _, word := range words {
			if !strings.Contains(got[0].Text+got[0].Advice, word) {
				t.Errorf("%s: no %q in %+v", p, word, got[0])
			}
		}
	}
}

// A live peer that no path leads to is trouble, also before the first probe.
func TestAPeerWithoutAnyPathIsTrouble(t *testing.T) {
	s := plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2))
	st := newStage(t, s)
	p := plan.Make(plan.Input{Snapshot: s, Backend: []plan.Path{plan.PathVXLAN}})
	if err := st.cfg.Routes.Store(p, s, st.cfg.Log); err != nil {
		t.Fatal(err)
	}
	troubles := st.troubles(nil)
	if len(troubles) != 1 || !strings.Contains(troubles[0].why, "no path leads to it: vxlan (the node does not take it)") {
		t.Errorf("got %+v", troubles)
	}
}

// What gossip suspects is no news, and neither is a peer without a route.
func TestOnlyPathsToLivePeersAreTrouble(t *testing.T) {
	st := newStage(t, plantest.Snapshot(peers.Confirmed,
		plantest.Node("works", peers.Alive, 2), plantest.Node("failed", peers.Alive, 3), plantest.Node("suspect", peers.Suspect, 4),
		plantest.Node("dead", peers.Dead, 5), plantest.Node("small", peers.Alive, 6), plantest.Node("young", peers.Alive, 7)))
	results := map[string]probe.Result{
		plantest.Key("works"): {State: probe.Works}, plantest.Key("failed"): {State: probe.Failed, Arriving: true}, plantest.Key("suspect"): {State: probe.Failed},
		plantest.Key("dead"): {State: probe.Failed}, plantest.Key("small"): {State: probe.SmallOnly, Tried: 1472}, plantest.Key("young"): {State: probe.Unproven},
		plantest.Key("gone"): {State: probe.Failed},
	}
	troubles := st.troubles(results)
	if len(troubles) != 2 {
		t.Fatalf("got %+v", troubles)
	}
	for i, want := range []struct {
		name, endpoint string
		state          probe.State
	}{
		{"host-failed (" + plantest.ID("failed").Short() + ")", "192.0.2.3:8285", probe.Failed}, {"host-small (" + plantest.ID("small").Short() + ")", "192.0.2.6:8285", probe.SmallOnly},
	} {
		got := troubles[i]
		if got.name != want.name || got.endpoint.String() != want.endpoint || got.State != want.state || got.static {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if st.troubles(nil) != nil {
		t.Error("trouble without a probe")
	}
}

// A static peer is named by its address, and the advice is another one.
func TestTroubleWithAStaticPeerIsNamedByItsAddress(t *testing.T) {
	s := plantest.Snapshot(peers.Confirmed)
	st := newStage(t, s)
	static, err := config.ParseStaticPeer("10.244.9.0/24=192.0.2.9:8285")
	if err != nil {
		t.Fatal(err)
	}
	p := plan.Make(plan.Input{Snapshot: s, Static: []config.StaticPeer{static}})
	if err := st.cfg.Routes.Store(p, s, st.cfg.Log); err != nil {
		t.Fatal(err)
	}
	troubles := st.troubles(map[string]probe.Result{static.String(): {State: probe.SmallOnly, Tried: 1472}})
	if len(troubles) != 1 || !troubles[0].static || troubles[0].name != "192.0.2.9" {
		t.Errorf("got %+v", troubles)
	}
	st.Update()
	targets := st.proofs.targets(st.proofs.routes())[plan.PathUDP]
	if len(targets) != 1 || targets[0].ID != static.String() || targets[0].Endpoint != static.Endpoint {
		t.Errorf("targets %+v", targets)
	}
}

// A static peer by a kernel path takes no datagrams.
func TestNoPortIsNamedWhereThereIsNone(t *testing.T) {
	here := netip.MustParseAddr("192.0.2.1")
	trouble := pathTrouble{path: plan.PathUDP, why: "no path leads to it", name: "192.0.2.9", static: true, endpoint: netip.MustParseAddrPort("192.0.2.9:0")}
	if p := trouble.problem(here, 8285, 1450); strings.Contains(p.Advice, "port 0") {
		t.Errorf("advice %q", p.Advice)
	}
}
