// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"flanneld/encap"
	"flanneld/internal/config"
	"flanneld/internal/plan"
	"flanneld/internal/plan/plantest"
	"flanneld/peers"
	"flanneld/route"
)

func settings(t *testing.T, flags map[string][]string) Settings {
	t.Helper()
	c, err := config.Load(flags, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return SettingsOf(c, slog.New(slog.DiscardHandler))
}

func TestSettingsComeFromTheFlags(t *testing.T) {
	for name, c := range map[string]struct {
		flags    map[string][]string
		lanes    int
		realtime bool
		device   []string // offloads
		sockets  []string
	}{
		"defaults":        {nil, 2, true, []string{"csum", "tcp", "udp"}, []string{"send", "receive"}},
		"three lanes":     {map[string][]string{"lanes": {"3"}}, 4, true, []string{"csum", "tcp", "udp"}, []string{"send", "receive"}},
		"no offloads":     {map[string][]string{"offload": {"off"}, "realtime": {"off"}}, 2, false, nil, nil},
		"single offloads": {map[string][]string{"offload": {"tun-csum,udp-gro"}}, 2, true, []string{"csum"}, []string{"receive"}},
	} {
		s := settings(t, c.flags)
		var device, sockets []string
		for _, o := range []struct {
			used bool
			name string
			list *[]string
		}{
			{s.device("d", "a").Offloads.Checksum, "csum", &device}, {s.device("d", "a").Offloads.TCP, "tcp", &device}, {s.device("d", "a").Offloads.UDP, "udp", &device},
			{s.sockets().Offloads.Send, "send", &sockets}, {s.sockets().Offloads.Receive, "receive", &sockets},
		} {
			if o.used {
				*o.list = append(*o.list, o.name)
			}
		}
		if s.AllLanes() != c.lanes || s.device("d", "a").Queues != c.lanes || s.Realtime != c.realtime || !reflect.DeepEqual(device, c.device) || !reflect.DeepEqual(sockets, c.sockets) {
			t.Errorf("%s: %d lanes, realtime %t, offloads %v and %v", name, s.AllLanes(), s.Realtime, device, sockets)
		}
	}
}

func TestATakenPortIsNamedWithTheFlag(t *testing.T) {
	taken, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := settings(t, nil)
	s.Port = taken.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	sockets, err := s.Listen(netip.MustParseAddr("127.0.0.1"))
	if err == nil || !strings.Contains(err.Error(), "choose another with --port") {
		t.Errorf("got %v", err)
	}
	sockets.Close() // none
}

// What one lane has lost counts as not used.
func TestAnOffloadIsUsedWhereAllLanesUseIt(t *testing.T) {
	yes, no := encap.OffloadState{Name: "udp-gso", Used: true}, encap.OffloadState{Name: "udp-gso", Note: "lost at EIO"}
	other := encap.OffloadState{Name: "udp-gro", Used: true}
	for name, c := range map[string]struct {
		lanes [][]encap.OffloadState
		want  []Offload
	}{
		"no lane":      {nil, nil},
		"all use it":   {[][]encap.OffloadState{{yes, other}, {yes, other}}, []Offload{Offload(yes), Offload(other)}},
		"one lost it":  {[][]encap.OffloadState{{yes, other}, {no, other}, {yes, other}}, []Offload{Offload(no), Offload(other)}},
		"the first":    {[][]encap.OffloadState{{no, other}, {yes, other}}, []Offload{Offload(no), Offload(other)}},
		"one lane has": {[][]encap.OffloadState{{yes}}, []Offload{Offload(yes)}},
	} {
		if got := joinOffloads(c.lanes); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

// taker keeps the routes that it is given.
type taker map[netip.Prefix]route.Kind

func (k taker) Apply(changes []route.Change) {
	for _, c := range changes {
		delete(k, c.Prefix())
		if c.New != nil {
			k[c.Prefix()] = c.New.Kind
		}
	}
}

// A taker that comes late knows as much as one that was there from the start.
func TestEveryTakerOfRoutesGetsTheDifferences(t *testing.T) {
	r := NewRoutes()
	early, late := taker{}, taker{}
	r.AddTaker(early)
	log := slog.New(slog.DiscardHandler)
	for i, s := range []*peers.Snapshot{
		plantest.Snapshot(peers.Announcing, plantest.Node("b", peers.Alive, 2)),
		plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2), plantest.Node("c", peers.Alive, 3)),
		plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Dead, 2)),
	} {
		if i == 1 {
			r.AddTaker(late)
		}
		p := plan.Make(plan.Input{Snapshot: s})
		if err := r.Store(p, s, log); err != nil {
			t.Fatal(err)
		}
		want := taker{}
		for _, planned := range p.Routes {
			want[planned.Prefix] = planned.Kind
		}
		if !reflect.DeepEqual(early, want) || i > 0 && !reflect.DeepEqual(late, want) {
			t.Errorf("step %d: takers have %v and %v, want %v", i, early, late, want)
		}
	}
}
