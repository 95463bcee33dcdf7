// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"runtime"
	"time"

	"flanneld/internal/control"
)

var (
	buildInfo = gauge("build_info", "Version of the program, in labels; always 1.", "version", "goversion", "goarch")
	nodeInfo  = gauge("node_info", "This node and its network, in labels; always 1.",
		"node", "id", "network", "device")
	clock      = gauge("clock_seconds", "Unix time of this host at the scrape.")
	ready      = gauge("ready", "Whether /readyz says that the node does its work (1) or not (0).")
	readyAfter = gauge("start_duration_seconds", "Time from start to ready, the first time; 0: not yet.")
	problems   = gauge("problems", "Problems that status names now, by the part that found them.", "part")

	members      = gauge("members", "Nodes by state, this one among the alive; and static peers.", "state")
	tableEntries = gauge("table_entries", "Entries in the tables of this node.", "table")
	tableLimit   = gauge("table_limit_entries", "How many entries a table can have.", "table")

	gossipDatagrams = counter("gossip_datagrams_total", "Datagrams of gossip.", "direction")
	gossipBytes     = counter("gossip_bytes_total", "Bytes of gossip, without UDP, TCP and IP headers.", "direction", "transport")
	gossipDropped   = counter("gossip_dropped_total", "Gossip not taken in: malformed, foreign, too much, or late.")
	gossipQueued    = gauge("gossip_queue_messages", "Broadcasts that wait to be sent.")
	gossipQueuedB   = gauge("gossip_queue_bytes", "Bytes of the broadcasts that wait.")
	gossipLag       = gauge("gossip_lag_seconds", "How long gossip waits for this node, 0 to 2 s; of a busy host.")
)

func (c *collector) collectNode(s sink, n control.Status) {
	s.put(buildInfo, 1, n.Version, runtime.Version(), runtime.GOARCH)
	s.put(nodeInfo, 1, n.Node.Name, n.Node.ID, n.Network.ID, n.Device.Name)
	s.put(clock, float64(time.Now().UnixNano())/1e9)
	s.putBool(ready, n.Readiness.Ready)
	s.put(readyAfter, float64(n.Host.ReadyAfter))

	found := map[string]int{}
	for _, part := range c.Parts {
		found[part] = 0
	}
	for _, p := range n.Problems {
		found[p.Part]++
	}
	for part, count := range found {
		s.put(problems, float64(count), part)
	}

	m := n.Members
	for state, count := range map[string]int{"alive": m.Alive, "suspect": m.Suspect, "dead": m.Dead, "left": m.Left, "static": m.Static} {
		s.put(members, float64(count), state)
	}
	for _, t := range n.Tables {
		s.put(tableEntries, float64(t.Used), t.Name)
		if t.Limit > 0 {
			s.put(tableLimit, float64(t.Limit), t.Name)
		}
	}

	g := n.GossipTraffic
	s.put(gossipDatagrams, float64(g.DatagramsSent), "sent")
	s.put(gossipDatagrams, float64(g.DatagramsReceived), "received")
	s.put(gossipBytes, float64(g.DatagramBytesSent), "sent", "udp")
	s.put(gossipBytes, float64(g.DatagramBytesReceived), "received", "udp")
	s.put(gossipBytes, float64(g.StreamBytesSent), "sent", "tcp")
	s.put(gossipBytes, float64(g.StreamBytesReceived), "received", "tcp")
	s.put(gossipDropped, float64(g.Dropped))
	s.put(gossipQueued, float64(g.QueuedMessages))
	s.put(gossipQueuedB, float64(g.QueuedBytes))
	s.put(gossipLag, float64(g.Lag))
}
