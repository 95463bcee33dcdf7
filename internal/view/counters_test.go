// SPDX-License-Identifier: Apache-2.0

package view

import (
	"slices"
	"testing"
	"time"

	"flanneld/internal/control"
	"flanneld/internal/plan"
	"flanneld/internal/plan/plantest"
	"flanneld/internal/probe"
	"flanneld/peers"
	"flanneld/route"
)

func TestProbesAreShownByPath(t *testing.T) {
	s := probe.Stats{Sent: 9, Answered: 5, Lost: 3, RoundTrip: 20 * time.Millisecond}
	s.RoundTrips[0], s.RoundTrips[len(s.RoundTrips)-1] = 4, 1
	got := probesOf(map[plan.Path]probe.Stats{plan.PathIPIP: {}, plan.PathUDP: s, plan.PathDirect: {}})
	if len(got) != 3 || got[0].Path != "udp" || got[1].Path != "direct" || got[2].Path != "ipip" {
		t.Fatalf("got %+v", got)
	}
	udp := got[0]
	if udp.Sent != 9 || udp.Answered != 5 || udp.Lost != 3 || udp.RTT != 0.02 || len(udp.RoundTrips) != len(s.RoundTrips) {
		t.Errorf("got %+v", udp)
	}
	first, last := udp.RoundTrips[0], udp.RoundTrips[len(udp.RoundTrips)-1]
	if first != (control.RoundTrips{UpTo: 0.0001, Count: 4}) || last != (control.RoundTrips{Count: 1}) {
		t.Errorf("classes %+v to %+v", first, last)
	}
}

func TestStatusShowsWhatIsCounted(t *testing.T) {
	s := plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2))
	s.Dropped, s.Gossip = 4, peers.GossipTraffic{
		DatagramsSent: 1, DatagramsReceived: 2, DatagramBytesSent: 3, DatagramBytesReceived: 4, StreamBytesSent: 5, StreamBytesReceived: 6, QueuedMessages: 7, QueuedBytes: 8,
		Lag: 700 * time.Millisecond,
	}
	s.Fill = []peers.Fill{{Table: "nodes", Used: 2, Limit: 8192}}
	v := newView(t, s)
	v.Totals.Begin(func() route.Counters {
		return route.Counters{Answers: route.Answers{Sent: 1, Suppressed: 2, Failed: 3}}
	})
	got := v.Status()
	if got.Answers != (control.ICMPAnswers{Sent: 1, Suppressed: 2, Failed: 3}) || !slices.Equal(got.Tables, []control.Table{{Name: "nodes", Used: 2, Limit: 8192}}) {
		t.Errorf("answers %+v, tables %+v", got.Answers, got.Tables)
	}
	if want := (control.GossipTraffic{
		DatagramsSent: 1, DatagramsReceived: 2, DatagramBytesSent: 3, DatagramBytesReceived: 4, StreamBytesSent: 5, StreamBytesReceived: 6, QueuedMessages: 7, QueuedBytes: 8,
		Dropped: 4, Lag: 0.7,
	}); got.GossipTraffic != want {
		t.Errorf("gossip %+v", got.GossipTraffic)
	}
	status, nodes := v.StatusAndNodes()
	if status.Health != got.Health || len(nodes.Nodes) != len(v.Nodes().Nodes) || nodes.Health != status.Health {
		t.Errorf("together: %+v, %+v", status.Health, nodes.Health)
	}
}

func TestLeaseStatesAreThoseOfPeers(t *testing.T) {
	var want []string
	for s := peers.None; s <= peers.Lost; s++ {
		want = append(want, s.String())
	}
	if !slices.Equal(control.LeaseStates, want) {
		t.Errorf("control has %q, peers %q", control.LeaseStates, want)
	}
}

// What the page draws is what status counts.
func TestCarriedIsTheSumOfTraffic(t *testing.T) {
	v := newView(t, plantest.Snapshot(peers.Confirmed))
	v.Totals.Begin(func() route.Counters {
		c := route.Counters{Egress: route.Direction{Drops: []route.Drop{{Reason: route.NoRoute, Packets: 4}}}}
		c.Egress.Packets, c.Egress.Bytes, c.Ingress.Packets, c.Ingress.Bytes = 1, 10, 2, 20
		return c
	})
	out, in, dropped := v.Carried()
	if s := v.Status(); out != s.Egress || in != s.Ingress || out.Bytes != 10 || in.Packets != 2 || dropped != 4 {
		t.Errorf("out %+v, in %+v, %d dropped; status %+v, %+v", out, in, dropped, s.Egress, s.Ingress)
	}
}
