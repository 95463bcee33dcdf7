// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"time"
)

// condition is a condition of a Node.
type condition struct {
	Type    string    `json:"type"`
	Status  string    `json:"status"`
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	Beat    time.Time `json:"lastHeartbeatTime"`
	Change  time.Time `json:"lastTransitionTime"`
}

// statusPatch is a strategic merge patch of a Node.
type statusPatch struct {
	Metadata struct {
		Annotations map[string]*string `json:"annotations"`
	} `json:"metadata"`
	Status *struct {
		Conditions []condition `json:"conditions"`
	} `json:"status,omitempty"`
}

// Report marks this node's Node as a member of a network, and says that the
// network is available: the scheduler waits for that where a cloud has said
// otherwise.
func (c *Cluster) Report(ctx context.Context, network string, lease netip.Prefix) error {
	now := time.Now().UTC().Truncate(time.Second)
	var p statusPatch
	p.Metadata.Annotations = map[string]*string{noteNetwork: &network}
	p.Status = &struct {
		Conditions []condition `json:"conditions"`
	}{[]condition{{
		Type: "NetworkUnavailable", Status: "False", Reason: "FlanneldIsUp", Message: "flanneld holds the subnet " + lease.String(), Beat: now, Change: now,
	}}}
	return c.Client.patchStatus(ctx, c.Node, p)
}

// Unmark takes the mark from this node's Node: it is in no network.
func (c *Cluster) Unmark(ctx context.Context) error {
	var p statusPatch
	p.Metadata.Annotations = map[string]*string{noteNetwork: nil}
	return c.Client.patchStatus(ctx, c.Node, p)
}

// membership is what a Reporter reports.
type membership struct {
	network string
	lease   netip.Prefix
}

// Reporter reports a membership until the API server has it.
type Reporter struct {
	cluster *Cluster
	log     *slog.Logger
	news    chan membership // the newest one, where it was not taken yet
}

// Pauses between attempts, spread by half their length either way.
const (
	reportFirst = time.Second
	reportMost  = time.Minute
	// reportAgain is how often a report is made anew. A Node that the kubelet
	// has registered anew has neither mark nor condition.
	reportAgain = 10 * time.Minute
)

// NewReporter makes one. It reports nothing before [Reporter.Run].
func NewReporter(c *Cluster, log *slog.Logger) *Reporter {
	return &Reporter{cluster: c, log: log, news: make(chan membership, 1)}
}

// Set replaces what is to be reported. It does not wait.
func (r *Reporter) Set(network string, lease netip.Prefix) {
	for {
		select {
		case r.news <- membership{network, lease}:
			return
		default:
		}
		select {
		case <-r.news:
		default:
		}
	}
}

// Run reports until ctx ends: what is news at once, the rest from time to time.
// A failure is logged once, and so is its end.
func (r *Reporter) Run(ctx context.Context) {
	var due membership
	var again <-chan time.Time // nil: nothing is due
	pause, failed, reported := reportFirst, false, false
	for {
		select {
		case <-ctx.Done():
			return
		case due = <-r.news:
			pause, reported = reportFirst, false
		case <-again:
		}
		err := r.cluster.Report(ctx, due.network, due.lease)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if !failed {
				r.log.Warn("the cluster was not told that the network of this node is up; trying again", "reason", err)
			}
			failed, reported = true, false
			again = time.After(pause/2 + rand.N(pause))
			pause = min(2*pause, reportMost)
		default:
			if !reported {
				r.log.Info("reported to the cluster", "node", r.cluster.Node, "condition", "NetworkUnavailable=False")
			}
			failed, reported, pause = false, true, reportFirst
			again = time.After(reportAgain/2 + rand.N(reportAgain))
		}
	}
}
