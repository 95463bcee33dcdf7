// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"flanneld/internal/plan"
)

// First the routes of an earlier start go, and its paths are not announced any
// more. Later they are not taken any more, with or without a data plane.
func TestWhatAnEarlierStartLeftGoesInTwoSteps(t *testing.T) {
	d := onEthernet(t, "udp")
	d.inherited.former = []plan.Path{plan.PathVXLAN}
	d.inherited.begin(map[netip.Prefix]plan.Path{netip.MustParsePrefix("10.244.2.0/24"): plan.PathVXLAN})
	both, alone := []plan.Path{plan.PathUDP, plan.PathVXLAN}, []plan.Path{plan.PathUDP}
	for step, want := range []struct {
		announced            []plan.Path
		taken, routes, timed bool
	}{{both, true, true, true}, {alone, true, false, true}, {alone, false, false, false}} {
		h := &d.inherited
		if got := h.announced(d.cfg.Backend); !reflect.DeepEqual(got, want.announced) || d.takes(plan.PathVXLAN) != want.taken ||
			(h.routes != nil) != want.routes || (h.end != nil) != want.timed {
			t.Errorf("step %d: announced %v, %+v", step, got, *h)
		}
		if err := d.disinherit(); err != nil {
			t.Fatal(err)
		}
	}
}

// A former VXLAN device has the place of the one that the settings name, until
// its time is over.
func TestFormerVXLANDeviceGoesBeforeTheNewOneComes(t *testing.T) {
	d := onEthernet(t, "vxlan,udp")
	d.cfg.VXLANPort, d.cfg.VNI = 4789, 7
	d.inherited.former, d.inherited.vxlan = []plan.Path{plan.PathVXLAN}, &vxlan{1, 8472}
	d.inherited.begin(nil)
	has := func(plan.Path) string { return "" }
	both, alone := []plan.Path{plan.PathUDP, plan.PathVXLAN}, []plan.Path{plan.PathUDP}
	for step, want := range []struct {
		backend   int
		announced []plan.Path
		device    vxlan
	}{{1, both, vxlan{1, 8472}}, {1, alone, vxlan{1, 8472}}, {2, both, vxlan{7, 4789}}} {
		announced := plan.Announced(d.inherited.announced(d.backend()), d.vxlan().port, d.vxlan().vni, has)
		if !reflect.DeepEqual(announced, plan.Announced(want.announced, want.device.port, want.device.vni, has)) {
			t.Errorf("step %d: announced %v", step, announced)
		}
		if len(d.backend()) != want.backend || d.vxlan() != want.device || !d.takes(plan.PathVXLAN) {
			t.Errorf("step %d: backend %v, device %+v", step, d.backend(), d.vxlan())
		}
		network := d.node.Snapshot().Network.Prefix
		if c := d.pathConfig(network, network); c.VXLAN.Name != want.device.device() || c.VXLAN.Port != want.device.port {
			t.Errorf("step %d: %+v", step, c.VXLAN)
		}
		if err := d.disinherit(); err != nil {
			t.Fatal(err)
		}
	}
	if got := d.overlayDevices([]string{"flannel.1"}); !slices.Equal(got, []string{"flannel.1", "flannel.7"}) {
		t.Errorf("rules name %q", got)
	}
}

// Where only routes were left, they alone have a time. Where nothing was, no
// time runs.
func TestRoutesAloneAreInheritedOnce(t *testing.T) {
	var h inheritance
	if h.begin(nil); h.end != nil {
		t.Error("waits for nothing")
	}
	h.begin(map[netip.Prefix]plan.Path{netip.MustParsePrefix("10.244.2.0/24"): plan.PathDirect})
	if h.end == nil || h.expire() || h.end != nil || h.routes != nil {
		t.Errorf("got %+v", h)
	}
}

// A former path carries packets as long as datagrams would pass user space, to
// peers that take it.
func TestAFormerPathCarriesUntilTheKernelCanByTheNewList(t *testing.T) {
	byUDP := plan.Candidate{Path: plan.PathUDP, Possible: true, Used: true}
	byShortcut := byUDP
	byShortcut.Shortcut = plan.Shortcut{Possible: true, State: plan.Proven, Used: true}
	taken := []plan.Arrival{{Path: plan.PathDirect}}
	for name, c := range map[string]struct {
		withdrawn bool
		route     plan.Route
		want      bool
	}{
		"user space":                     {false, plan.Route{Path: plan.PathUDP, Candidates: []plan.Candidate{byUDP}, Arrivals: taken}, true},
		"the short-cut":                  {false, plan.Route{Path: plan.PathUDP, Candidates: []plan.Candidate{byShortcut}, Arrivals: taken}, false},
		"another kernel path":            {false, plan.Route{Path: plan.PathVXLAN, Arrivals: taken}, false},
		"a peer that takes another path": {false, plan.Route{Path: plan.PathUDP, Candidates: []plan.Candidate{byUDP}, Arrivals: []plan.Arrival{{Path: plan.PathVXLAN}}}, false},
		"its time is over":               {true, plan.Route{Path: plan.PathUDP, Candidates: []plan.Candidate{byUDP}, Arrivals: taken}, false},
	} {
		h := inheritance{former: []plan.Path{plan.PathDirect}, withdrawn: c.withdrawn}
		if got := h.carries(plan.PathDirect, c.route); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
		if h.former = nil; h.carries(plan.PathDirect, c.route) {
			t.Errorf("%s: a path that is not former carries", name)
		}
	}
}
