// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes

package kubernetes

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// talk is traffic among all pods: pings and a connection each way.
type talk struct {
	pings         []*lab.Pinger
	conversations []*lab.Conversation
	names         []string
}

// startTalk starts it; every pair of pods takes part.
func startTalk(t *testing.T, pods []*pod) *talk {
	t.Helper()
	talk := new(talk)
	port := uint16(7100)
	for _, from := range pods {
		for _, to := range pods {
			if from == to {
				continue
			}
			from.Reachable(t, to.addr, 10*time.Second)
			talk.names = append(talk.names, fmt.Sprintf("%s to %s", from.node.NodeName, to.node.NodeName))
			talk.pings = append(talk.pings, from.StartPinging(t, to.addr, 20*time.Millisecond))
			talk.conversations = append(talk.conversations, lab.Converse(t, from.Namespace, to.Namespace, at(to.addr, port)))
			port++
		}
	}
	return talk
}

// stop ends the traffic. No ping may be lost and no connection broken.
func (k *talk) stop(t *testing.T) {
	t.Helper()
	sent, lost := 0, 0
	for i, p := range k.pings {
		got := p.Stop()
		sent, lost = sent+got.Sent, lost+got.Lost
		if got.Lost != 0 || len(got.Errors) != 0 {
			t.Errorf("%s: %v", k.names[i], got)
		}
		if err := k.conversations[i].Stop(); err != nil {
			t.Errorf("%s: the connection broke: %v", k.names[i], err)
		}
	}
	t.Logf("%d of %d pings lost", lost, sent)
}

// flanneldRestarted: an update of the DaemonSet replaces flanneld on one node
// after the other. Pods do not notice.
func flanneldRestarted(t *testing.T, c *cluster) {
	pods := c.probes(t)
	c.waitKernelPaths(t)
	talk := startTalk(t, pods)
	start := time.Now()
	c.kubectl("rollout", "restart", "-n", flanneldNamespace, flanneldSet)
	c.kubectl("rollout", "status", "-n", flanneldNamespace, flanneldSet, "--timeout=180s")
	t.Logf("updated %d nodes in %v", len(c.nodes), time.Since(start).Round(100*time.Millisecond))
	c.waitReady(t, 30*time.Second)
	talk.stop(t)
}

// waitKernelPaths waits until the kernel carries the packets of every node to
// every other one: flanneld may then be away.
func (c *cluster) waitKernelPaths(t *testing.T) {
	t.Helper()
	lab.Eventually(t, 60*time.Second, "kernel paths among all nodes", func() error {
		for _, n := range c.nodes {
			var table lab.Nodes
			if err := n.json(t, &table, "nodes"); err != nil {
				return err
			}
			for _, other := range table.Nodes {
				if path := other.PathInUse(); !other.Self && other.State == "alive" && (path == "" || path == "udp") {
					return fmt.Errorf("%s reaches %s by %q", n.NodeName, other.Name, path)
				}
			}
		}
		return nil
	})
}

// serverAway: the API server is away for a time, first stopped, then cut off.
// Traffic goes on, and flanneld that is killed comes up again from its disk.
func serverAway(t *testing.T, c *cluster) {
	limit := awayFor(t)
	talk := startTalk(t, c.probes(t))
	back := c.away()
	start := time.Now()
	c.nodes[0].flanneldKilled(t)
	c.lab.Cut(c.host)
	back()
	c.nodes[1].flanneldKilled(t)
	time.Sleep(limit - time.Since(start))
	t.Logf("the API server was away for %v", time.Since(start).Round(time.Second))
	c.lab.Heal(c.host)
	c.waitReady(t, 90*time.Second)
	talk.stop(t)
	podsReachEachOther(t, c)
}

// flanneldKilled kills it as kill -9 does, and waits until it is back and finds
// nothing wrong.
func (n *node) flanneldKilled(t *testing.T) {
	t.Helper()
	before := n.process(t)
	n.Exec(t, "kill", "-9", before)
	killed := time.Now()
	lab.Eventually(t, 60*time.Second, "flanneld of "+n.NodeName+" to be back", func() error {
		if now := n.process(t); now == "" || now == before {
			return fmt.Errorf("process %q", now)
		}
		status, err := n.status(t)
		if err != nil {
			return err
		}
		return lab.Expect(status.Device.State == "up" && status.Lease.State == "confirmed", "%s", status.Summary)
	})
	t.Logf("flanneld of %s back from disk after %v", n.NodeName, time.Since(killed).Round(100*time.Millisecond))
}

// awayVariable has for how many seconds the API server is away, 300 if unset.
const awayVariable = "FLANNELD_KUBERNETES_AWAY"

func awayFor(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv(awayVariable)
	if text == "" {
		return 5 * time.Minute
	}
	seconds, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", awayVariable, err)
	}
	return time.Duration(seconds) * time.Second
}

// process is the ID of the node's flanneld, as the node sees it; "" without.
func (n *node) process(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(n.Run(t, "pgrep", "-o", "-x", "flanneld").Stdout)
}
