// SPDX-License-Identifier: Apache-2.0

package chronicle

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"flanneld/internal/plan"
	"flanneld/route"
)

func planOf(path plan.Path, pathless bool) plan.Plan {
	r := plan.Route{Prefix: netip.MustParsePrefix("10.244.2.0/24"), Kind: route.Via, Node: id(2), ID: "2", Name: "b", Path: path, Live: true, Why: "because"}
	r.Candidates = []plan.Candidate{{Path: plan.PathVXLAN}}
	if pathless {
		r.Kind = route.Unreachable
	}
	return plan.Plan{Routes: []plan.Route{r}}
}

func TestPathsAreFollowedAlsoOverATimeWithoutOne(t *testing.T) {
	var p Paths
	for i, step := range []struct {
		plan plan.Plan
		want []string
	}{
		{planOf(plan.PathUDP, false), nil}, // what every peer begins with
		{planOf(plan.PathVXLAN, false), []string{"path changed"}},
		{planOf(plan.PathVXLAN, false), nil},
		{planOf("", true), []string{"path lost"}},
		{planOf("", true), nil},
		{planOf(plan.PathVXLAN, false), []string{"path chosen"}},
		{planOf("", false), nil}, // the member is dead
		{planOf(plan.PathUDP, false), []string{"path changed"}},
		{plan.Plan{}, nil},
		{planOf(plan.PathDirect, false), []string{"path chosen"}},
	} {
		got := p.Take(step.plan)
		if !slices.Equal(said(got), step.want) {
			t.Errorf("step %d: got %v, want %v", i, said(got), step.want)
		}
		for _, e := range got {
			if e.Node.Name != "b" || e.Text == "" || e.Why != "because" {
				t.Errorf("step %d: %+v", i, e)
			}
		}
	}
}

func TestDropsBeginAndEndWithAMinuteOfQuiet(t *testing.T) {
	d := NewDrops(func(reason string) string { return "means " + reason })
	now := time.Unix(1_800_000_000, 0)
	const reason = "egress-no-route"
	for i, step := range []struct {
		after time.Duration
		count uint64
		want  []string
		text  string
	}{
		{0, 0, nil, ""},
		{5 * time.Second, 3, []string{"drops began"}, "packets are dropped: egress-no-route, 3 so far"},
		{5 * time.Second, 9, nil, ""},
		{30 * time.Second, 10, nil, ""},
		{59 * time.Second, 10, nil, ""},
		{time.Second, 10, []string{"drops ended"}, "no more packets are dropped: egress-no-route, 10 in 35s"},
		{time.Hour, 10, nil, ""},
		{time.Second, 11, []string{"drops began"}, "packets are dropped: egress-no-route, 1 so far"},
	} {
		now = now.Add(step.after)
		got := d.Take(now, map[string]uint64{reason: step.count})
		if !slices.Equal(said(got), step.want) || len(got) > 0 && (got[0].Text != step.text || got[0].Subject != reason) {
			t.Errorf("step %d: got %+v, want %v %s", i, got, step.want, step.text)
		}
	}
}
