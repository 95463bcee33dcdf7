// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"log/slog"
	"strings"
	"testing"

	"flanneld/internal/config"
	"flanneld/internal/host/underlay"
	"flanneld/internal/plan/plantest"
	"flanneld/internal/problem"
)

// network is the overlay network of the tests.
var network = plantest.Network

func TestOverlapsAreJudgedByWhatDependsOnThem(t *testing.T) {
	wider := underlay.Overlap{What: "the route to 10.0.0.0/8 (eth0) on this host", Remedy: "remove that route", Shadowed: true}
	inside := underlay.Overlap{What: "the route to 10.244.3.0/24 (eth0) on this host", Remedy: "remove that route"}
	for name, c := range map[string]struct {
		cfg      config.Config
		found    []underlay.Overlap
		held     bool
		refused  string // part of the error; "": none
		problems int
		warned   int
	}{
		"nothing":                 {config.Config{}, nil, false, "", 0, 0},
		"wider route":             {config.Config{}, []underlay.Overlap{wider}, false, "", 0, 1},
		"founder":                 {config.Config{}, []underlay.Overlap{wider, inside}, false, "choose another with --network", 0, 1},
		"joiner":                  {config.Config{Join: []string{"a"}}, []underlay.Overlap{inside}, false, "which the nodes to --join have", 0, 0},
		"containers run":          {config.Config{}, []underlay.Overlap{inside, wider}, true, "", 1, 2},
		"allowed":                 {config.Config{AllowOverlap: true}, []underlay.Overlap{inside}, false, "", 0, 1},
		"allowed, containers run": {config.Config{AllowOverlap: true}, []underlay.Overlap{inside}, true, "", 0, 1},
	} {
		var log strings.Builder
		logger := slog.New(slog.NewTextHandler(&log, nil))
		d := &daemon{cfg: c.cfg, log: logger, problems: problem.NewBoard(logger)}
		err := d.judgeOverlaps(network, c.found, c.held)
		switch {
		case c.refused == "" && err != nil, c.refused != "" && err == nil:
			t.Errorf("%s: got %v", name, err)
		case err != nil && (!strings.Contains(err.Error(), c.refused) || !strings.Contains(err.Error(), "10.244.3.0/24") ||
			!strings.Contains(err.Error(), "remove that route") || !strings.Contains(err.Error(), "--allow-overlap")):
			t.Errorf("%s: got %v", name, err)
		}
		if all := d.problems.All(); len(all) != c.problems {
			t.Errorf("%s: problems %+v", name, all)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != c.warned {
			t.Errorf("%s: %d warnings, want %d:\n%s", name, n, c.warned, &log)
		}
	}
	d := &daemon{cfg: config.Config{Join: []string{"a"}}}
	if text := d.refusal(network, inside).Error(); strings.Contains(text, "choose another with --network") {
		t.Errorf("a joiner is told what only a founder can do: %s", text)
	}
}
