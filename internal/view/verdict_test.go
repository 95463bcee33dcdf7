// SPDX-License-Identifier: Apache-2.0

package view

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"flanneld/internal/control"
	"flanneld/internal/host"
	"flanneld/internal/host/link"
	"flanneld/internal/plan/plantest"
	"flanneld/internal/problem"
	"flanneld/peers"
)

// wellStatus is the status of a node that has nothing to complain about.
func wellStatus() control.Status {
	return control.Status{
		Lease:  control.Lease{State: "confirmed"},
		Device: control.Device{Name: "flannel0", State: control.DeviceUp},
		Host:   control.Host{IPForward: true, Firewall: control.FirewallOK},
		Paths:  control.Paths{Works: 2},
	}
}

// Whatever a status shows to be wrong is a problem, and the verdict with it.
func TestOneThingThatIsWrongMakesTheVerdict(t *testing.T) {
	board := problem.NewBoard(slog.New(slog.DiscardHandler))
	s := wellStatus()
	if judge(&s, nil, board); !s.OK || s.Summary != "ok" || len(s.Problems) != 0 || s.Problems == nil {
		t.Fatalf("a node that is well: %+v, %+v", s.Health, s.Problems)
	}
	for name, c := range map[string]struct {
		spoil func(*control.Status)
		words []string
	}{
		"no lease":  {func(s *control.Status) { s.Lease = control.Lease{State: "joining", Waiting: "no seed answers"} }, []string{"no seed answers"}},
		"claiming":  {func(s *control.Status) { s.Lease.State = "claiming" }, []string{"no lease yet"}},
		"lost":      {func(s *control.Status) { s.Lease.State = "lost" }, []string{"lost"}},
		"device":    {func(s *control.Status) { s.Device.State, s.Device.Note = control.DeviceBroken, "it is down" }, []string{"flannel0", "it is down"}},
		"no device": {func(s *control.Status) { s.Device.State = control.DeviceAbsent }, []string{"flannel0", "absent"}},
		"conflict": {func(s *control.Status) {
			s.Conflicts = []control.Conflict{{Subnet: netip.MustParsePrefix("10.244.9.0/24"), Winner: control.NodeName{ID: "aaaaaaaaaa", Name: "a"}, Loser: control.NodeName{ID: "bbbbbbbbbb", Name: "a"}}}
		}, []string{"a (aaaaaaaa)", "a (bbbbbbbb)", "flanneld leave"}},
	} {
		s := wellStatus()
		c.spoil(&s)
		judge(&s, nil, board)
		if s.OK || len(s.Problems) != 1 || !strings.HasPrefix(s.Summary, "1 problem: ") {
			t.Errorf("%s: %+v, %+v", name, s.Health, s.Problems)
			continue
		}
		for _, word := range c.words {
			if text := s.Problems[0].Text + " " + s.Problems[0].Advice; !strings.Contains(text, word) {
				t.Errorf("%s: no %q in %q", name, word, text)
			}
		}
	}
}

// What a part reports is in the verdict, and said once.
func TestWhatPartsReportIsInTheVerdict(t *testing.T) {
	board := problem.NewBoard(slog.New(slog.DiscardHandler))
	board.Report("firewall", problem.Problem{Text: "chain x drops", Advice: "nft delete"})
	board.Report("path", problem.Problem{Text: "data path to b does not work"})
	s := wellStatus()
	found := findings{{Part: "firewall", Wrong: []string{"chain is missing"}}}
	judge(&s, found, board)
	if len(s.Problems) != 2 || s.OK || s.Summary != "2 problems, the first: chain x drops" || s.Problems[0].Advice != "nft delete" {
		t.Errorf("%+v, %+v", s.Health, s.Problems)
	}
	board.Report("firewall")
	board.Report("path")
	s = wellStatus()
	s.Paths.Unproven = 1
	if judge(&s, nil, board); !s.OK || s.Summary == "ok" || !strings.Contains(s.Summary, "1 new") {
		t.Errorf("with a path that is not proven yet: %+v", s.Health)
	}
}

func TestAClaimThatWaitsForTheDeadNamesThemByID(t *testing.T) {
	c := &control.Claim{Missing: []control.Missing{
		{NodeName: control.NodeName{ID: "aaaaaaaaaaaa", Name: "n"}, State: "dead"},
		{NodeName: control.NodeName{ID: "bbbbbbbbbbbb", Name: "n"}, State: "dead"},
		{NodeName: control.NodeName{ID: "cccccccccccc", Name: "n"}, State: "alive"},
	}}
	got := claimAdvice(c)
	for word, want := range map[string]bool{"flanneld forget aaaaaaaaaaaa": true, "flanneld forget bbbbbbbbbbbb": true, "cccc": false} {
		if strings.Contains(got, word) != want {
			t.Errorf("%q in %q: want %v", word, got, want)
		}
	}
	if got := claimAdvice(nil) + claimAdvice(&control.Claim{}); got != "" {
		t.Errorf("without a dead node: %q", got)
	}
}

// A host that was installed anew has dead nodes of its own name.
func TestDeadNamesakesAreToldApart(t *testing.T) {
	dead, twin, other := plantest.Node("b", peers.Dead, 2), plantest.Node("c", peers.Alive, 3), plantest.Node("d", peers.Dead, 4)
	twin.Name = dead.Name
	got := namesakes(plantest.Snapshot(peers.Confirmed, dead, twin, other))
	if len(got) != 1 || !strings.Contains(got[plantest.ID("b")], "flanneld forget "+plantest.ID("b").Short()) {
		t.Errorf("got %v", got)
	}
}

// Whatever a part is called, why packets are lost comes before that they are
// lost, and both before what hinders no packet.
func TestCausesComeBeforeTheirEffects(t *testing.T) {
	board := problem.NewBoard(slog.New(slog.DiscardHandler))
	for _, cause := range []string{"underlay", "device", "forwarding", "bridge", "route", "rules", "firewall"} {
		for _, effect := range []string{"path", "crossing", "mirror"} {
			board.Report("files", problem.Problem{Text: "files"})
			board.Report(effect, problem.Problem{Text: effect})
			board.Report(cause, problem.Problem{Text: cause})
			s := wellStatus()
			judge(&s, nil, board)
			var order []string
			for _, p := range s.Problems {
				order = append(order, p.Part)
			}
			if got, want := strings.Join(order, " "), cause+" "+effect+" files"; got != want {
				t.Errorf("order %s, want %s", got, want)
			}
			board.Report(effect)
			board.Report(cause)
		}
	}
}

// What a check found is a problem at once, unless the part is being repaired.
func TestWhatACheckFoundIsInTheVerdict(t *testing.T) {
	board := problem.NewBoard(slog.New(slog.DiscardHandler))
	for name, c := range map[string]struct {
		found host.Finding
		text  string // "": no problem
	}{
		"well":       {host.Finding{Part: "ports"}, ""},
		"wrong":      {host.Finding{Part: "ports", Wrong: []string{"table is missing", "sets were changed"}}, "table is missing; sets were changed"},
		"unreadable": {host.Finding{Part: "ports", Err: errors.New("no netlink")}, "cannot be checked: no netlink"},
		"repaired":   {host.Finding{Part: "firewall", Err: fmt.Errorf("%w: x", host.ErrPending)}, ""},
		"slow":       {host.Finding{Part: "firewall", Err: fmt.Errorf("x: %w", context.DeadlineExceeded)}, ""},
		"device":     {host.Finding{Part: "device", Wrong: []string{"it is down"}}, ""}, // the status says it
	} {
		s := wellStatus()
		judge(&s, findings{c.found}, board)
		switch {
		case c.text == "" && (!s.OK || len(s.Problems) != 0):
			t.Errorf("%s: %+v, %+v", name, s.Health, s.Problems)
		case c.text != "" && (s.OK || len(s.Problems) != 1 || s.Problems[0].Part != c.found.Part || s.Problems[0].Text != c.text):
			t.Errorf("%s: %+v, %+v", name, s.Health, s.Problems)
		}
	}
}

func TestDeviceIsAsTheCheckFoundIt(t *testing.T) {
	for _, c := range []struct {
		found       host.Finding
		state, note string
	}{
		{host.Finding{Part: "device"}, control.DeviceUp, ""},
		{host.Finding{Part: "ports", Wrong: []string{"x"}}, control.DeviceUp, ""},
		{host.Finding{Part: "device", Err: fmt.Errorf("link: %w: flannel0", link.ErrNoDevice)}, control.DeviceAbsent, "deleted by another program"},
		{host.Finding{Part: "device", Err: errors.New("no netlink")}, control.DeviceBroken, "no netlink"},
		{host.Finding{Part: "device", Wrong: []string{"it is down", "no route"}}, control.DeviceBroken, "it is down; no route"},
	} {
		if state, note := (findings{c.found}).device(); state != c.state || note != c.note {
			t.Errorf("%+v: %s, %q", c.found, state, note)
		}
	}
}

// Advice for a conflict is another one where only this node knows of it.
func TestConflictAdviceSaysWhichSideToMend(t *testing.T) {
	nodes := control.Conflict{Winner: control.NodeName{ID: "aaaaaaaaaa", Name: "a"}, Loser: control.NodeName{ID: "bbbbbbbbbb", Name: "b"}}
	if got := conflictAdvice(nodes); got != "run `flanneld leave` on b (bbbbbbbb), and start it again" {
		t.Errorf("got %q", got)
	}
	nodes.Note = "given with --static-peer x"
	if got := conflictAdvice(nodes); got != "correct --static-peer: given with --static-peer x" {
		t.Errorf("got %q", got)
	}
}

func TestTheVerdictCountsProblemsAndNewPaths(t *testing.T) {
	one := []control.Problem{{Text: "first"}}
	for _, c := range []struct {
		problems []control.Problem
		paths    control.Paths
		ok       bool
		summary  string
	}{
		{nil, control.Paths{}, true, "ok"},
		{nil, control.Paths{Unproven: 2}, true, "ok, with 2 new data paths not proven yet"},
		{one, control.Paths{Unproven: 2}, false, "1 problem: first"},
		{append(one, control.Problem{Text: "second"}), control.Paths{}, false, "2 problems, the first: first"},
	} {
		if got := healthOf(c.problems, c.paths); got.OK != c.ok || got.Summary != c.summary {
			t.Errorf("%+v, %+v: %+v", c.problems, c.paths, got)
		}
	}
}
