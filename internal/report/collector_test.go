// SPDX-License-Identifier: Apache-2.0

package report

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flanneld/internal/control"
)

func TestGapBoundsTheRate(t *testing.T) {
	for nodes, want := range map[int]time.Duration{1: 3 * time.Second, 10: 300 * time.Millisecond, 60: time.Second / askRate, 1000: time.Second / askRate} {
		if got := gap(nodes); got != want {
			t.Errorf("%d nodes: %v, want %v", nodes, got, want)
		}
	}
}

// All nodes are asked in turn, at a rate that does not depend on their number,
// also where some are silent. An earlier report of a silent node stays.
func TestACollectorAsksEachNodeInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var nodes []string
		for n := range 100 {
			nodes = append(nodes, idOf(n))
		}
		first, inOrder := nodes[0], slices.Clone(nodes)
		var known atomic.Pointer[[]string]
		known.Store(&nodes)
		var asked, underWay atomic.Int64
		var silent atomic.Bool
		report := Of(control.Status{Version: "1"}, control.Nodes{}).Encode()
		c := Collector{
			Nodes: func() []string { return *known.Load() },
			Ask: func(ctx context.Context, id string) ([]byte, error) {
				asked.Add(1)
				if underWay.Add(1) > atOnce {
					t.Error("too many questions are under way")
				}
				defer underWay.Add(-1)
				if silent.Load() && id == first {
					pause(ctx, 1200*time.Millisecond)
					return nil, errors.New("it does not answer")
				}
				pause(ctx, 10*time.Millisecond)
				return report, nil
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { c.Run(ctx); close(done) }()
		time.Sleep(time.Minute)
		if n := asked.Load(); n < 11*60 || n > 13*60 {
			t.Errorf("%d questions in a minute", n)
		}
		all := c.Since(0)
		if len(all) != 100 || all[first].Err != nil || all[first].Report.Version != "1" || time.Since(all[first].At) > 20*time.Second {
			t.Errorf("%d reports, the first %+v", len(all), all[first])
		}
		silent.Store(true)
		time.Sleep(time.Minute)
		if a := c.Since(0)[first]; a.Err == nil || a.Report == nil {
			t.Errorf("a silent node: %+v", a)
		}
		newest := uint64(0)
		for _, a := range c.Since(0) {
			newest = max(newest, a.Number)
		}
		if n := len(c.Since(newest - 5)); n != 5 {
			t.Errorf("%d came after the fifth last", n)
		}
		half := nodes[:50]
		known.Store(&half)
		time.Sleep(time.Minute)
		if n := len(c.Since(0)); n != 50 {
			t.Errorf("%d are kept of 50", n)
		}
		cancel()
		<-done
		if !slices.Equal(nodes, inOrder) {
			t.Error("the list of nodes is changed, which others may read")
		}
	})
}

// What makes no sense counts as no report.
func TestANodeThatSendsNonsenseHasNoReport(t *testing.T) {
	c := Collector{Ask: func(context.Context, string) ([]byte, error) { return []byte("nonsense"), nil }}
	c.keep(nil)
	c.ask(t.Context(), idOf(1))
	if a := c.Since(0)[idOf(1)]; a.Err == nil || a.Report != nil {
		t.Errorf("%+v", a)
	}
}
