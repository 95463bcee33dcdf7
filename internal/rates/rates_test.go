// SPDX-License-Identifier: Apache-2.0

package rates

import (
	"math"
	"slices"
	"testing"
	"time"

	"flanneld/internal/control"
)

func traffic(packets, bytes uint64) control.Traffic {
	return control.Traffic{Packets: packets, Bytes: bytes}
}

var start = time.Unix(1_800_000_000, 0)

// at is a look some seconds after the start, at counters that have grown to n.
func at(seconds int, n uint64) Look {
	l := Look{At: start.Add(time.Duration(seconds) * time.Second)}
	l.Status = control.Status{PID: 7, Egress: traffic(n, 100*n), Ingress: traffic(2*n, 0), Drops: map[string]uint64{"egress-no-route": n, "ingress-ipv6": 4},
		Arrived: map[string]control.Traffic{"vxlan": traffic(n, 50*n), "ipip": traffic(n, 50*n)}}
	l.Nodes.Nodes = []control.Node{
		{ID: "self", Self: true},
		{ID: "b", Name: "b", State: "alive", Egress: traffic(n, 10*n), Ingress: traffic(n, n), Path: control.Path{Sent: n, Lost: n / 4, RTT: 0.001},
			Paths: []control.NodePath{{Path: "direct"}, {Path: "vxlan", Used: true, Arrived: traffic(n, 1000*n)}}},
		{Name: "192.168.1.9", State: control.StateStatic, Paths: []control.NodePath{{Path: "udp", Used: true}}},
	}
	return l
}

func TestRatesAreThoseBetweenTheLastTwoLooks(t *testing.T) {
	var w Window
	if _, ok := w.Top(); ok {
		t.Error("there is one without a look")
	}
	w.Add(at(0, 0))
	if _, ok := w.Top(); ok {
		t.Error("there is one after one look")
	}
	w.Add(at(10, 100))
	w.Add(at(12, 300))
	got, ok := w.Top()
	if !ok || got.Egress != (control.Rate{Packets: 100, Bytes: 10_000}) || got.Arrived != (control.Rate{Packets: 200, Bytes: 10_000}) {
		t.Errorf("ok %v, %+v", ok, got)
	}
	if len(got.Drops) != 1 || got.Drops["egress-no-route"] != 100 {
		t.Errorf("drops %v", got.Drops)
	}
	if len(got.Peers) != 2 {
		t.Fatalf("peers %+v", got.Peers)
	}
	b := got.Peers[0]
	if b.Path != "vxlan" || !b.ByKernel || b.Egress.Bytes != 1000 || b.Ingress != (control.Rate{Packets: 200, Bytes: 100_100}) || b.Probes != 300 || b.Lost != 75 || b.RTT != 0.001 {
		t.Errorf("b is %+v", b)
	}
	if s := got.Peers[1]; s.ByKernel || s.Path != "udp" {
		t.Errorf("the static peer is %+v", s)
	}
}

func TestLossIsThatOfTheLastHalfMinute(t *testing.T) {
	var w Window
	for s := 0; s <= 100; s += 2 {
		w.Add(at(s, uint64(10*s)))
	}
	got, _ := w.Top()
	if b := got.Peers[0]; b.Probes != 300 || math.Abs(Loss(b)-0.25) > 0.01 {
		t.Errorf("b is %+v", b)
	}
}

func TestADaemonThatIsStartedAgainCountsAnew(t *testing.T) {
	var w Window
	w.Add(at(0, 1000))
	again := at(2, 10)
	again.Status.PID = 8
	w.Add(again)
	if _, ok := w.Top(); ok {
		t.Error("two daemons are compared")
	}
	// A peer that was struck out and comes back counts anew as well.
	w = Window{}
	w.Add(at(0, 1000))
	w.Add(at(2, 10))
	if got, _ := w.Top(); got.Peers[0].Egress.Packets != 5 {
		t.Errorf("b is %+v", got.Peers[0])
	}
}

func TestPeersAreSortedByWhatIsAskedFor(t *testing.T) {
	peers := []control.TopPeer{
		{Name: "c", Egress: control.Rate{Bytes: 5}, RTT: 3, Probes: 10, Lost: 1},
		{Name: "a", Ingress: control.Rate{Bytes: 9}, RTT: 1},
		{Name: "b", RTT: 2, Probes: 10, Lost: 5},
		{Name: "d"},
	}
	for order, want := range map[string]string{"traffic": "acbd", "loss": "bcad", "latency": "cbad", "name": "abcd"} {
		Sort(peers, order)
		got := ""
		for _, p := range peers {
			got += p.Name
		}
		if got != want || !slices.Contains(Orders, order) {
			t.Errorf("by %s: %s, want %s", order, got, want)
		}
	}
}
