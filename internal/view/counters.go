// SPDX-License-Identifier: Apache-2.0

package view

import (
	"cmp"
	"maps"
	"slices"

	"flanneld/internal/control"
	"flanneld/internal/monitor"
	"flanneld/internal/plan"
	"flanneld/internal/probe"
	"flanneld/peers"
)

// noCounters fills in what is empty without a data plane, so that scripts find
// every field.
func noCounters(out *control.Status) {
	out.Drops, out.Arrived, out.PathChanges = map[string]uint64{}, map[string]control.Traffic{}, map[string]uint64{}
	out.Refused = map[string]control.Traffic{}
	out.Shortcut.Left, out.Shortcut.Notes = map[string]uint64{}, []string{}
	out.Probes, out.Threads, out.Tables = []control.Probes{}, []control.Thread{}, []control.Table{}
}

// count fills in what is counted.
func (v *View) count(out *control.Status, s *peers.Snapshot) {
	noCounters(out)
	sum := v.Totals.Sum()
	out.Egress, out.Ingress, out.Drops = control.Traffic(sum.Egress), control.Traffic(sum.Ingress), sum.Drops
	out.Answers = control.ICMPAnswers(sum.Answers)
	_, to := v.Routes.PathChanges()
	for p, n := range to {
		out.PathChanges[string(p)] = n
	}
	if v.Refused != nil {
		maps.Copy(out.Refused, v.Refused())
	}
	out.GossipTraffic = gossipTraffic(s)
	for _, f := range s.Fill {
		out.Tables = append(out.Tables, control.Table{Name: f.Table, Used: f.Used, Limit: f.Limit})
	}
	live := v.Live()
	if live.Monitor != nil {
		_, byPath := live.Monitor.Arrived()
		for p, t := range byPath {
			out.Arrived[string(p)] = control.Traffic(t)
		}
		out.Probes = probesOf(live.Monitor.Stats())
	}
	if live.Plane != nil {
		for _, t := range live.Plane.Threads() {
			out.Threads = append(out.Threads, control.Thread{
				Express: t.Express, CPU: control.SecondsOf(t.CPU), Policy: t.Policy, Priority: t.Priority, Nice: t.Nice,
			})
		}
	}
}

func gossipTraffic(s *peers.Snapshot) control.GossipTraffic {
	g := s.Gossip
	return control.GossipTraffic{
		DatagramsSent: g.DatagramsSent, DatagramsReceived: g.DatagramsReceived,
		DatagramBytesSent: g.DatagramBytesSent, DatagramBytesReceived: g.DatagramBytesReceived,
		StreamBytesSent: g.StreamBytesSent, StreamBytesReceived: g.StreamBytesReceived,
		QueuedMessages: g.QueuedMessages, QueuedBytes: g.QueuedBytes, Dropped: s.Dropped,
		Lag: control.SecondsOf(g.Lag),
	}
}

// probesOf lists the paths in the order of control.PathNames.
func probesOf(all map[plan.Path]probe.Stats) []control.Probes {
	out := make([]control.Probes, 0, len(all))
	place := func(p plan.Path) int { return slices.Index(control.PathNames, string(p)) }
	for _, p := range slices.SortedFunc(maps.Keys(all), func(a, b plan.Path) int { return cmp.Compare(place(a), place(b)) }) {
		s := all[p]
		one := control.Probes{Path: string(p), Sent: s.Sent, Answered: s.Answered, Lost: s.Lost, RTT: control.SecondsOf(s.RoundTrip)}
		for i, n := range s.RoundTrips {
			class := control.RoundTrips{Count: n}
			if i < len(probe.RoundTripBounds) {
				class.UpTo = control.SecondsOf(probe.RoundTripBounds[i])
			}
			one.RoundTrips = append(one.RoundTrips, class)
		}
		out = append(out, one)
	}
	return out
}

// arrived is what has come by kernel paths, by lease and path; nil without a
// data plane.
func (v *View) arrived() map[monitor.TrafficKey]monitor.Traffic {
	if m := v.Live().Monitor; m != nil {
		byPeer, _ := m.Arrived()
		return byPeer
	}
	return nil
}
