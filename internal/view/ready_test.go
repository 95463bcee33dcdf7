// SPDX-License-Identifier: Apache-2.0

package view

import (
	"strings"
	"testing"

	"flanneld/internal/control"
	"flanneld/internal/plan/plantest"
	"flanneld/internal/probe"
	"flanneld/peers"
)

// well is a status of a node where nothing is missing.
func well() control.Status {
	return control.Status{
		Lease: control.Lease{State: "confirmed"}, Device: control.Device{Name: "flannel0", State: control.DeviceUp},
		Host: control.Host{Firewall: control.FirewallOK, ReadyAfter: 1, SubnetFile: "/s", DockerFile: "/d"},
	}
}

func TestReadinessNamesWhatIsMissing(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*control.Status)
		others others
		want   string // "": ready
	}{
		"a lone founder":           {nil, others{}, ""},
		"no iptables on this host": {func(s *control.Status) { s.Host.Firewall = control.FirewallNone }, others{}, ""},
		"one of many is reached":   {nil, others{up: 9, dead: 3, proven: 1}, ""},
		"the other of two is dead": {nil, others{dead: 1}, "all 1 others are dead, or this node is cut off"},
		"no lease":                 {func(s *control.Status) { s.Lease = control.Lease{State: "joining", Waiting: "no seed answers"} }, others{}, "no lease yet: no seed answers"},
		"lease lost":               {func(s *control.Status) { s.Lease.State = "lost" }, others{}, "the lease is lost"},
		"no device":                {func(s *control.Status) { s.Device.State = control.DeviceAbsent }, others{}, "device flannel0 is absent"},
		"device broken":            {func(s *control.Status) { s.Device.State, s.Device.Note = control.DeviceBroken, "is down" }, others{}, "device flannel0 is broken: is down"},
		"rules not looked at":      {func(s *control.Status) { s.Host.Firewall = "" }, others{}, "the firewall rules are not in place yet"},
		"rules failed":             {func(s *control.Status) { s.Host.Firewall, s.Host.FirewallNote = control.FirewallFailed, "no table" }, others{}, "the firewall rules are not in place: no table"},
		"rules overruled": {func(s *control.Status) {
			s.Host.Firewall, s.Host.FirewallNote = control.FirewallOverruled, "drop in FORWARD"
		}, others{}, "rules of other programs drop overlay traffic: drop in FORWARD"},
		"files not written":         {func(s *control.Status) { s.Host.ReadyAfter = 0 }, others{}, "/s and /d are not written yet"},
		"nothing is reached":        {nil, others{up: 2}, "no data path to another node is proven: packets reach 0 of 2"},
		"all others are dead":       {nil, others{dead: 2}, "all 2 others are dead, or this node is cut off; flanneld forget"},
		"nothing is reached, 1 old": {nil, others{up: 1, dead: 5}, "packets reach 0 of 1"},
		"everything is missing": {func(s *control.Status) {
			*s = control.Status{Lease: control.Lease{State: "none"}, Device: control.Device{State: control.DeviceAbsent}}
		}, others{up: 1}, "no lease yet"},
	} {
		s := well()
		if c.change != nil {
			c.change(&s)
		}
		r := readiness(s, c.others)
		if r.Ready != (c.want == "") || r.Ready != (len(r.Missing) == 0) || !strings.Contains(strings.Join(r.Missing, "\n"), c.want) {
			t.Errorf("%s: %+v, want %q", name, r, c.want)
		}
		if name == "everything is missing" && len(r.Missing) != 5 {
			t.Errorf("%s: %q", name, r.Missing)
		}
	}
}

// Only nodes that hold a lease can be reached.
func TestOthersAreNodesWithALease(t *testing.T) {
	joining, left := plantest.Node("joining", peers.Alive, 9), plantest.Node("left", peers.Left, 8)
	joining.Lease = peers.Lease{}
	s := plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2), plantest.Node("c", peers.Suspect, 3), plantest.Node("d", peers.Dead, 4),
		plantest.Node("e", peers.Alive, 5), joining, left)
	v := newView(t, s, "10.244.77.0/24=192.0.2.77:8285")
	found := map[string]probe.Result{
		plantest.Key("b"): {State: probe.Works}, plantest.Key("d"): {State: probe.Works}, plantest.Key("e"): {State: probe.SmallOnly},
		v.cfg().StaticPeers[0].String(): {State: probe.Works},
	}
	if got, want := v.othersOf(s, found), (others{up: 3, dead: 1, proven: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestReadinessIsShown(t *testing.T) {
	v := newView(t, plantest.Snapshot(peers.Confirmed))
	if r := v.Ready(); r.Ready || len(r.Missing) != 2 || !strings.Contains(r.Missing[0], "flannel-none is absent") {
		t.Errorf("got %+v", r)
	}
	if s := v.Status(); s.Readiness.Ready || len(s.Readiness.Missing) != 2 {
		t.Errorf("status has %+v", s.Readiness)
	}
}
