// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon

import (
	"net/netip"
	"reflect"
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
