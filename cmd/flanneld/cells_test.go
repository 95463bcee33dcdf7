// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"flanneld/internal/control"
)

// A figure never shows more than three digits before the point: 999,999 bytes
// are 1.0 MB.
func TestSizesChangeTheirUnitInTime(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB", 999_999: "1.0 MB", 1_000_000: "1.0 MB",
		999_999_999: "1.0 GB", 1_500_000_000_000: "1.5 TB", math.MaxUint64: "18.4 EB",
	} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestTimesAreShortAndNeverRoundedToAnotherForm(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "-", 0: "-", time.Millisecond: "0s", 59 * time.Second: "59s", 59*time.Second + 700*time.Millisecond: "1m",
		time.Minute: "1m", 10 * time.Minute: "10m", 59*time.Minute + 50*time.Second: "1h0m", 90 * time.Minute: "1h30m",
		47*time.Hour + 59*time.Minute: "47h59m", 48 * time.Hour: "2d0h", 49*time.Hour + 59*time.Minute: "2d1h", 400 * 24 * time.Hour: "400d0h",
	} {
		if got := since(control.SecondsOf(d)); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// What other nodes say cannot move the cursor, or make a line of its own.
func TestCellsHoldNoControlCharacters(t *testing.T) {
	for _, colors := range []bool{false, true} {
		tab := &table{}
		tab.line(red, "NAME", "NOTE")
		tab.line(plain, "a\nb\tc\x1b[2J\r\x00", "x\u0085y\x7f")
		tab.linef(yellow, "n", "%s", "1\v2\f3")
		var out bytes.Buffer
		if err := tab.print(&out, colors); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) != 3 || lines[1] != "a?b?c?[2J??  x?y?" || !utf8.ValidString(out.String()) {
			t.Errorf("colors %t: %q", colors, lines)
		}
		if escapes := strings.Count(out.String(), "\x1b"); escapes != map[bool]int{true: 4}[colors] {
			t.Errorf("colors %t: %d escape sequences", colors, escapes)
		}
	}
}

// A path that is preferred and broken is marked, one that is worse is not.
func TestMarkOfAPathSaysThatABetterOneIsBroken(t *testing.T) {
	path := func(name, state string, used bool) control.NodePath {
		return control.NodePath{Path: name, State: state, Used: used, Why: "why " + name}
	}
	for name, c := range map[string]struct {
		paths []control.NodePath
		want  string
		notes string
	}{
		"no path":          {nil, "-", ""},
		"none is used":     {[]control.NodePath{path("udp", control.PathFailed, false)}, "none", ""},
		"the best":         {[]control.NodePath{path("direct", control.PathWorks, true), path("udp", control.PathFailed, false)}, "direct", ""},
		"a better fails":   {[]control.NodePath{path("direct", control.PathFailed, false), path("udp", control.PathWorks, true)}, "udp!", "not direct: why direct"},
		"a better is slow": {[]control.NodePath{path("direct", control.PathUnproven, false), path("udp", control.PathWorks, true)}, "udp", ""},
		"two are better": {[]control.NodePath{path("direct", control.PathSmallOnly, false), path("vxlan", control.PathFailed, false), path("udp", control.PathWorks, true)},
			"udp!", "not direct: why direct; not vxlan: why vxlan"},
	} {
		if got := pathName(c.paths); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if got := noteText(control.Node{Paths: c.paths}); got != c.notes {
			t.Errorf("%s: notes %q, want %q", name, got, c.notes)
		}
	}
	all := control.Node{Conflict: "taken", Note: "note", Path: control.Path{Note: "path"}}
	if got := noteText(all); got != "CONFLICT: taken; path; note" {
		t.Errorf("got %q", got)
	}
}

func TestLeaseCellsSayHowItWasGranted(t *testing.T) {
	subnet := prefix("10.244.7.0/24")
	for want, n := range map[string]control.Node{
		"- - -":         {Epoch: 3, Electors: 2},
		"- - - ":        {Subnet: subnet}, // a static peer
		"1 - itself":    {Subnet: subnet, Epoch: 1},
		"3 1m 2 of 3":   {Subnet: subnet, Epoch: 3, Electors: 3, Promises: 2, LeaseAge: 60},
		"4 2d0h 0 of 1": {Subnet: subnet, Epoch: 4, Electors: 1, LeaseAge: 48 * 3600},
	} {
		epoch, held, grant := leaseCells(n)
		if got := epoch + " " + held + " " + grant; got != strings.TrimSpace(want) {
			t.Errorf("%+v: %q, want %q", n, got, want)
		}
	}
}

// Red is for what is lost, yellow for what may be.
func TestRowsHaveTheColorOfTheirState(t *testing.T) {
	for name, c := range map[string]struct {
		n    control.Node
		want string
	}{
		"alive":             {control.Node{State: "alive"}, plain},
		"alive, works":      {control.Node{State: "alive", Path: control.Path{State: control.PathWorks}}, plain},
		"alive, not proven": {control.Node{State: "alive", Path: control.Path{State: control.PathUnproven}}, plain},
		"alive, failed":     {control.Node{State: "alive", Path: control.Path{State: control.PathFailed}}, yellow},
		"alive, small only": {control.Node{State: "alive", Path: control.Path{State: control.PathSmallOnly}}, yellow},
		"suspect":           {control.Node{State: "suspect"}, yellow},
		"dead":              {control.Node{State: "dead", Path: control.Path{State: control.PathFailed}}, red},
		"left":              {control.Node{State: "left"}, plain},
		"in a conflict":     {control.Node{State: "alive", Conflict: "x"}, red},
		"static":            {control.Node{State: "static", Path: control.Path{State: control.PathFailed}}, yellow},
	} {
		if got := rowColor(c.n); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestPathsAreCountedByWhatWasFound(t *testing.T) {
	for want, p := range map[string]control.Paths{
		"none": {}, "2 proven": {Works: 2}, "1 not proven yet": {Unproven: 1},
		"1 proven, 2 for small packets only, 3 not working, 4 not proven yet": {Works: 1, SmallOnly: 2, Failed: 3, Unproven: 4},
	} {
		if got := pathsText(p); got != want {
			t.Errorf("%+v: %q, want %q", p, got, want)
		}
		if (pathsColor(p) == yellow) != (p.Failed+p.SmallOnly > 0) {
			t.Errorf("%+v has the color %q", p, pathsColor(p))
		}
	}
	for want, p := range map[string]control.Path{
		"-": {}, "works 0.30 ms": {State: control.PathWorks, RTT: 0.0003}, "works": {State: control.PathWorks},
		control.PathUnproven: {State: control.PathUnproven, Since: 9}, control.PathFailed + " 9s": {State: control.PathFailed, Since: 9},
		control.PathSmallOnly: {State: control.PathSmallOnly},
	} {
		if got := pathText(p); got != want {
			t.Errorf("%+v: %q, want %q", p, got, want)
		}
	}
}

func TestEndpointsAndAddressesAreShort(t *testing.T) {
	for want, got := range map[string]string{
		"192.0.2.9:8285":                      endpointText(addrPort("192.0.2.9:8285")),
		"192.0.2.9":                           endpointText(addrPort("192.0.2.9:0")), // a path without ports
		"-":                                   endpointText(control.Node{}.Endpoint),
		"192.0.2.1":                           address(addr("192.0.2.1"), addr("192.0.2.1")),
		"192.0.2.2":                           address(addr("192.0.2.2"), control.Underlay{}.PublicAddress),
		"192.0.2.1, announced as 203.0.113.9": address(addr("192.0.2.1"), addr("203.0.113.9")),
		"abcdefgh":                            shortID("abcdefghijkl"),
		"abc":                                 shortID("abc"),
		"12.35 ms":                            roundTrip(0.012345),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
