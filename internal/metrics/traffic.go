// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strconv"
	"strings"

	"flanneld/internal/control"
)

var (
	packets = counter("packets_total", "Overlay packets that were carried.", "direction", "path")
	bytes   = counter("bytes_total", "Bytes of these packets, without outer headers.", "direction", "path")
	dropped = counter("dropped_packets_total", "Overlay packets that were dropped.", "direction", "reason")
	refused = counter("kernel_path_refused_packets_total", "Packets that the rules of kernel paths have dropped.", "path")
	answers = counter("icmp_answers_total", "ICMP messages that dropped packets called for.", "outcome")

	laneCPU      = counter("lane_cpu_seconds_total", "CPU time of the lanes' threads.", "lane")
	lanePriority = gauge("lane_realtime_priority", "Real-time priority of the thread; 0: an ordinary one.", "lane")
	laneNice     = gauge("lane_nice", "Nice value of the thread, while it is an ordinary one.", "lane")
)

func (c *collector) collectTraffic(s sink, n control.Status) {
	s.traffic("egress", "udp", n.Egress)
	s.traffic("ingress", "udp", n.Ingress)
	for path, t := range n.Arrived {
		s.traffic("ingress", path, t)
	}

	for path, t := range n.Refused {
		s.put(refused, float64(t.Packets), path)
	}

	drops := map[string]uint64{}
	for _, kind := range c.Drops {
		drops[kind] = 0
	}
	for kind, count := range n.Drops {
		drops[kind] = count
	}
	for kind, count := range drops {
		direction, reason, _ := strings.Cut(kind, "-")
		s.put(dropped, float64(count), direction, reason)
	}
	s.put(answers, float64(n.Answers.Sent), "sent")
	s.put(answers, float64(n.Answers.Suppressed), "suppressed")
	s.put(answers, float64(n.Answers.Failed), "failed")

	number := 0
	for _, t := range n.Threads {
		lane := "express"
		if !t.Express {
			lane = strconv.Itoa(number)
			number++
		}
		s.put(laneCPU, float64(t.CPU), lane)
		s.put(lanePriority, float64(t.Priority), lane)
		s.put(laneNice, float64(t.Nice), lane)
	}
}

func (s sink) traffic(direction, path string, t control.Traffic) {
	s.put(packets, float64(t.Packets), direction, path)
	s.put(bytes, float64(t.Bytes), direction, path)
}
