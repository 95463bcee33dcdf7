// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"flanneld/internal/control"
)

var (
	dataPaths   = gauge("data_paths", "Data paths to peers, by what probes say.", "state")
	pathPeers   = gauge("path_peers", "Peers that packets reach by a path now.", "path")
	pathChanges = counter("path_changes_total", "How often packets to a peer took another path, this one.", "path")

	probesSent = counter("probes_sent_total", "Probes that were sent to peers.", "path")
	probesLost = counter("probes_lost_total", "Probes that were not answered.", "path")
	roundTrip  = histogram("probe_round_trip_seconds", "Round trips of the probes that were answered.", "path")
)

func (c *collector) collectPaths(s sink, n control.Status) {
	p := n.Paths
	for state, count := range map[string]int{
		control.PathWorks: p.Works, control.PathSmallOnly: p.SmallOnly, control.PathFailed: p.Failed, control.PathUnproven: p.Unproven,
	} {
		s.put(dataPaths, float64(count), state)
	}
	for _, b := range n.Backend.Paths {
		s.put(pathPeers, float64(b.Peers), b.Path)
		s.put(pathChanges, float64(n.PathChanges[b.Path]), b.Path)
	}
	for _, p := range n.Probes {
		s.put(probesSent, float64(p.Sent), p.Path)
		s.put(probesLost, float64(p.Lost), p.Path)
		s.putRoundTrips(p)
	}
}

// putRoundTrips puts the classes of answers as a histogram, in which each class
// has what the smaller ones have, too.
func (s sink) putRoundTrips(p control.Probes) {
	classes, sum := make(map[float64]uint64, len(p.RoundTrips)), uint64(0)
	for _, c := range p.RoundTrips {
		sum += c.Count
		if c.UpTo > 0 {
			classes[float64(c.UpTo)] = sum
		}
	}
	s.to <- prometheus.MustNewConstHistogram(roundTrip.desc, sum, float64(p.RTT), classes, p.Path)
}
