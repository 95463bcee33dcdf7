// SPDX-License-Identifier: Apache-2.0

package dist

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documented lists the metrics in docs/metrics.md, which a test of
// internal/metrics holds against the program.
func documented(t *testing.T) (names []string) {
	t.Helper()
	for _, m := range regexp.MustCompile("(?m)^\\| `(flanneld_\\w+)` \\| (\\w+)").FindAllStringSubmatch(read(t, "../docs/metrics.md"), -1) {
		names = append(names, m[1])
		if m[2] == "histogram" {
			names = append(names, m[1]+"_bucket", m[1]+"_sum", m[1]+"_count")
		}
	}
	if len(names) < 40 {
		t.Fatalf("docs/metrics.md has %d metrics", len(names))
	}
	return names
}

var metricName = regexp.MustCompile(`\bflanneld_\w+`)

// A metric that is renamed takes rules and dashboard along.
func TestRulesAndDashboardUseMetricsThatExist(t *testing.T) {
	known, used := documented(t), map[string]bool{}
	for _, file := range []string{"prometheus/flanneld.rules.yml", "prometheus/flanneld.rules_test.yml", "prometheus/flanneld.dashboard.json"} {
		for _, name := range metricName.FindAllString(read(t, file), -1) {
			used[name] = true
			if !slices.Contains(known, name) {
				t.Errorf("%s has %s, which docs/metrics.md does not have", file, name)
			}
		}
	}
	if len(used) < 20 {
		t.Errorf("only %d metrics are used", len(used))
	}
}

// Each alert is graded, says what to type, and is tested and documented.
func TestAlertsSayWhatToDo(t *testing.T) {
	tested, docs := read(t, "prometheus/flanneld.rules_test.yml"), read(t, "../docs/metrics.md")
	rules := strings.Split(read(t, "prometheus/flanneld.rules.yml"), "- alert: ")[1:]
	for _, rule := range rules {
		name, rest, _ := strings.Cut(rule, "\n")
		if !regexp.MustCompile(`severity: (critical|warning)\b`).MatchString(rest) || !strings.Contains(rest, "summary: ") || !strings.Contains(rest, "description: >-") {
			t.Errorf("%s lacks a severity, a summary or a description", name)
		}
		if !strings.Contains(tested, `alertname="`+name+`"`) {
			t.Errorf("%s is not tested", name)
		}
		if !strings.Contains(docs, "`"+name+"`") {
			t.Errorf("docs/metrics.md does not have %s", name)
		}
	}
	if len(rules) < 10 {
		t.Errorf("%d alerts", len(rules))
	}
}

// Panels lie side by side, and each has queries.
func TestDashboardIsSound(t *testing.T) {
	type box struct{ X, Y, W, H int }
	var board struct {
		Title  string
		Panels []struct {
			ID          int
			Type, Title string
			GridPos     box
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "prometheus/flanneld.dashboard.json")), &board); err != nil {
		t.Fatal(err)
	}
	ids, boxes := map[int]bool{}, []box{}
	for _, p := range board.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %q at %+v", p.ID, p.Title, p.GridPos)
		}
		ids[p.ID] = true
		for _, b := range boxes {
			if o := p.GridPos; o.X < b.X+b.W && b.X < o.X+o.W && o.Y < b.Y+b.H && b.Y < o.Y+o.H {
				t.Errorf("panel %q lies over another one: %+v, %+v", p.Title, o, b)
			}
		}
		boxes = append(boxes, p.GridPos)
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q has no query", p.Title)
		}
		for _, target := range p.Targets {
			if !strings.Contains(target.Expr, `instance=~"$instance"`) {
				t.Errorf("panel %q shows nodes that were not chosen: %s", p.Title, target.Expr)
			}
		}
	}
	if board.Title != "flanneld" || len(board.Panels) < 20 {
		t.Errorf("%q has %d panels", board.Title, len(board.Panels))
	}
}
