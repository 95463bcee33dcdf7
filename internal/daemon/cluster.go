// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"time"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/kubernetes"
	"flanneld/internal/problem"
	"flanneld/internal/view"
	"flanneld/peers"
)

// cluster is the Kubernetes cluster that this node is in.
type cluster struct {
	*kubernetes.Cluster
	reporter *kubernetes.Reporter
	podCIDR  netip.Prefix // of this node; zero: it has none, or the cluster was not asked
}

// Times of questions to the API server at a start.
const (
	askKnown   = 3 * time.Second // by a node that can start from disk
	askAgain   = time.Second     // by one that cannot: the first pause, doubled up to askMost
	askMost    = 4 * time.Second
	unmarkTime = time.Second

	// pinnedTTL is how long a dead node keeps its subnet where podCIDRs are
	// given out. No other node asks for the subnet before the cluster has
	// given it to that node. So what is long gone only hinders others.
	pinnedTTL = time.Minute
)

// enterCluster finds the cluster of --join k8s:, and pins the lease to the
// podCIDR of this node, where it has one. A node that is in a network already
// starts without an answer. Any other one waits for it.
func (d *daemon) enterCluster(ctx context.Context) error {
	source, ok := d.cfg.Cluster()
	if !ok {
		return nil
	}
	client, err := kubernetes.InCluster(os.LookupEnv, kubernetes.AccountDir)
	if err != nil {
		return fmt.Errorf("--join %s: %w", source, err)
	}
	c, err := kubernetes.NewCluster(kubernetes.Config{
		Client: client, Node: clusterNode(d.cfg), Lease: source.Argument,
		Network: d.cfg.Network, Default: config.DefaultNetwork, GossipPort: d.cfg.GossipPort,
	})
	if err != nil {
		return fmt.Errorf("--join %s: %w", source, err)
	}
	known, err := peers.Peek(d.cfg.StateDir)
	if err != nil {
		return err
	}
	d.cluster = &cluster{Cluster: c, reporter: kubernetes.NewReporter(c, d.log)}
	own, err := d.askCluster(ctx, known.Network.IsValid())
	if err != nil {
		return err
	}
	if own == nil {
		if known.Pinned { // by the podCIDR of an earlier start
			d.shortenTTL()
		}
		return nil
	}
	return d.pinTo(own.PodCIDR)
}

// clusterNode is the name of this node's Node. The kubelet registers a host by
// its name in lower case.
func clusterNode(c config.Config) string {
	if c.ClusterNode != "" {
		return c.ClusterNode
	}
	return strings.ToLower(nodeName(c.NodeName))
}

// shortenTTL lets the lease of a dead node end soon, unless the user has chosen
// when. All nodes have to do so: one that waits longer keeps the subnet from
// its next holder.
func (d *daemon) shortenTTL() {
	if !d.cfg.Given("lease-ttl") {
		d.cfg.LeaseTTL = pinnedTTL
	}
}

// askCluster asks for this node's Node. known says that this node can start
// without. It then returns nil where there is no answer.
func (d *daemon) askCluster(ctx context.Context, known bool) (*kubernetes.Own, error) {
	limit := time.Duration(0)
	if known {
		limit = askKnown
	}
	own, err := d.askOwn(ctx, limit, known)
	switch {
	case err == nil && (known || !own.Young), errors.Is(err, kubernetes.ErrConfig), ctx.Err() != nil:
		return &own, err
	case known:
		d.log.Warn("starting from disk; the podCIDR of this node is not compared with the lease", "reason", err)
		return nil, nil
	}
	waiting := d.newWaiting()
	d.show(shown{face: waiting})
	server, err2 := control.Listen(d.cfg.SocketPath(), waiting, d.log)
	if err2 != nil {
		return nil, err2
	}
	defer serveFor(server)()
	for wait := askAgain; err != nil || own.Young; wait = min(2*wait, askMost) {
		d.waitForCluster(waiting, err)
		if err := d.rest(ctx, wait/2+rand.N(wait)); err != nil {
			return nil, err
		}
		if own, err = d.askOwn(ctx, 0, false); errors.Is(err, kubernetes.ErrConfig) || ctx.Err() != nil {
			return nil, err
		}
	}
	d.problems.Report(problem.PartCluster)
	return &own, nil
}

// askOwn asks once. A Node that is marked as a member of a network, while this
// node is in none, loses the mark. limit 0 is that of the client.
func (d *daemon) askOwn(ctx context.Context, limit time.Duration, known bool) (own kubernetes.Own, err error) {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if own, err = d.cluster.Own(ctx); err == nil && own.Mark != "" && !known {
			err = d.cluster.Unmark(ctx)
		}
	}()
	for {
		select {
		case <-done:
			return own, err
		case <-d.pulse:
		}
	}
}

// rest waits, and answers that this goroutine lives. The error is the ctx's.
func (d *daemon) rest(ctx context.Context, pause time.Duration) error {
	over := time.After(pause)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-over:
			return nil
		case <-d.pulse:
		}
	}
}

// waitForCluster says what is waited for. Without a reason it is the podCIDR of
// a Node that was made a moment ago.
func (d *daemon) waitForCluster(waiting *view.Waiting, reason error) {
	what := "the Node has no podCIDR yet, and is young"
	if reason != nil {
		what = oneLine(reason)
	}
	text := "waiting for the cluster: " + what
	d.notify.send("STATUS=" + text)
	waiting.For(text)
	d.problems.Report(problem.PartCluster, problem.Problem{
		Text:   "the cluster does not say which subnet this node has: " + what,
		Advice: "it is asked again; docs/kubernetes.md lists what has to be there",
	})
}

// pinTo makes the podCIDR the subnet that this node is to hold.
func (d *daemon) pinTo(podCIDR netip.Prefix) error {
	if !podCIDR.IsValid() {
		return nil
	}
	c := &d.cfg
	what := fmt.Sprintf("Node %s has the podCIDR %s", d.cluster.Node, podCIDR)
	switch {
	case podCIDR.Bits() > config.MaxSubnetLen:
		return fmt.Errorf("%s, which is too small: give the controller manager a smaller --node-cidr-mask-size", what)
	case c.Subnet.IsValid() && c.Subnet != podCIDR:
		return fmt.Errorf("--subnet %s: %s: leave the flag out", c.Subnet, what)
	case c.SubnetLen != 0 && c.SubnetLen != podCIDR.Bits():
		return fmt.Errorf("--subnet-len %d: %s: leave the flag out", c.SubnetLen, what)
	case c.Network.IsValid() && (!c.Network.Contains(podCIDR.Addr()) || podCIDR.Bits() < c.Network.Bits()):
		return fmt.Errorf("--network %s: %s, which is not in it: give the --cluster-cidr of the controller manager", c.Network, what)
	}
	c.Subnet, c.SubnetLen = podCIDR, podCIDR.Bits()
	d.shortenTTL()
	d.cluster.podCIDR = podCIDR
	d.log.Info("the lease is to be the podCIDR of this node", "node", d.cluster.Node, "podCIDR", podCIDR)
	return nil
}

// pins reports whether the cluster says which subnet this node has.
func (c *cluster) pins() bool { return c != nil && c.podCIDR.IsValid() }

// explain says where the subnet of a node comes from that could not be leased.
func (c *cluster) explain(err error) error {
	if !c.pins() || err == nil {
		return err
	}
	if errors.Is(err, peers.ErrConfig) || errors.Is(err, peers.ErrNetworkMismatch) {
		return fmt.Errorf("%w (%s is the podCIDR of Node %s; --network has to be the --cluster-cidr of the controller manager)", err, c.podCIDR, c.Node)
	}
	return err
}

// report lets the cluster know that the network is up here.
func (c *cluster) report(s *peers.Snapshot) {
	if c != nil {
		c.reporter.Set(s.Network.ID().String(), s.Self.Lease.Prefix)
	}
}

// withdraw takes the mark from this node's Node after it has left.
func (c *cluster) withdraw() error {
	if c == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), unmarkTime)
	defer cancel()
	if err := c.Unmark(ctx); err != nil {
		return fmt.Errorf("the Node %s keeps its mark (kubectl annotate node %s flanneld/network-): %w", c.Node, c.Node, err)
	}
	return nil
}

// election lets one of the cluster's nodes found the network.
type election struct{ *kubernetes.Cluster }

// MayFound asks the API server. What does not fit ends the node.
func (e election) MayFound(ctx context.Context, id peers.NodeID, at netip.AddrPort) (yes bool, reason string, err error) {
	yes, reason, err = e.Cluster.MayFound(ctx, id.String(), at)
	if errors.Is(err, kubernetes.ErrConfig) {
		err = misfit{err}
	}
	return yes, reason, err
}

// misfit is an error of the cluster as peers knows it.
type misfit struct{ error }

func (e misfit) Unwrap() error { return e.error }

// Is reports whether the target is the error of peers that ends a node.
func (misfit) Is(target error) bool { return target == peers.ErrConfig }
