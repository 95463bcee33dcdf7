// SPDX-License-Identifier: Apache-2.0

package chronicle

import (
	"slices"
	"strings"
	"testing"

	"flanneld/internal/plan"
)

// cutOf is a plan with one peer by udp, with the short-cut or without.
func cutOf(used bool, why string) plan.Plan {
	p := planOf(plan.PathUDP, false)
	p.Routes[0].Candidates = []plan.Candidate{{Path: plan.PathUDP, Used: true, Shortcut: plan.Shortcut{Possible: true, Used: used, Why: why}}}
	return p
}

func TestTheShortcutOfAPeerIsFollowed(t *testing.T) {
	var s Shortcuts
	for i, step := range []struct {
		plan plan.Plan
		want []string
		why  string
	}{
		{cutOf(false, "not proven yet"), nil, ""}, // what every peer begins with
		{cutOf(true, ""), []string{"short-cut used"}, "probes have passed"},
		{cutOf(true, ""), nil, ""},
		{cutOf(false, "probes are not answered"), []string{"short-cut left"}, "probes are not answered"},
		{cutOf(false, "probes are not answered"), nil, ""},
		{cutOf(true, ""), []string{"short-cut used"}, "probes have passed"},
		{planOf(plan.PathVXLAN, false), nil, ""}, // another path: that is an event of Paths
		{cutOf(true, ""), []string{"short-cut used"}, "probes have passed"},
		{plan.Plan{}, nil, ""},
	} {
		got := s.Peers(step.plan)
		if !slices.Equal(said(got), step.want) {
			t.Errorf("step %d: got %v, want %v", i, said(got), step.want)
		}
		for _, e := range got {
			if e.Node.Name != "b" || e.Node.ID == "" || e.Path != "udp" || !strings.Contains(e.Text, "short-cut") || !strings.Contains(e.Why, step.why) {
				t.Errorf("step %d: %+v", i, e)
			}
		}
	}
}

func TestTheShortcutOfThisHostIsFollowed(t *testing.T) {
	var s Shortcuts
	for i, step := range []struct {
		ready bool
		why   string
		want  []string
	}{
		{false, "it is not set up yet", nil}, {true, "", []string{"short-cut ready"}}, {true, "", nil},
		{false, "off (--shortcut)", []string{"short-cut gone"}}, {false, "another reason", nil},
	} {
		got := s.Host(step.ready, step.why)
		if !slices.Equal(said(got), step.want) || len(got) > 0 && step.why != "" && got[0].Why != step.why {
			t.Errorf("step %d: got %+v, want %v", i, got, step.want)
		}
	}
}
