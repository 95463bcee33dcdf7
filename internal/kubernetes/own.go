// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"net/http"
	"net/netip"
	"time"
)

// youngNode is how long after its registration a Node may still get its
// podCIDR. The controller manager takes a moment.
const youngNode = 20 * time.Second

// Own is what the cluster says of this node.
type Own struct {
	// PodCIDR is the subnet that the controller manager gives this node. It is
	// zero where it gives none.
	PodCIDR netip.Prefix
	// Young says that the Node has no PodCIDR, and was made so short a time
	// ago that it may still get one.
	Young bool
	// Mark is the ID of the network that the Node is marked as a member of; ""
	// for none.
	Mark string
}

// Own asks for this node's Node. An [ErrConfig] says that its podCIDR cannot be
// carried.
func (c *Cluster) Own(ctx context.Context) (Own, error) {
	n, err := c.getOwn(ctx)
	if err != nil {
		return Own{}, err
	}
	o := Own{Mark: n.Metadata.Annotations[noteNetwork]}
	if o.PodCIDR, err = podCIDR(&n); err != nil {
		return Own{}, err
	}
	o.Young = !o.PodCIDR.IsValid() && time.Since(n.Metadata.CreationTimestamp) < youngNode
	c.mu.Lock()
	c.pin = o.PodCIDR
	c.mu.Unlock()
	return o, nil
}

// getOwn gets this node's Node.
func (c *Cluster) getOwn(ctx context.Context) (node, error) {
	n, err := c.Client.getNode(ctx, c.Node)
	if hasCode(err, http.StatusNotFound) {
		return n, &unregistered{c.Node}
	}
	if err == nil {
		c.mu.Lock()
		c.uid = n.Metadata.UID
		c.mu.Unlock()
	}
	return n, err
}

// unregistered says that this node is no Node of the cluster.
type unregistered struct{ name string }

func (e *unregistered) Error() string {
	return "the cluster has no Node " + e.name + ": give the name that `kubectl get nodes` shows with --node-name or NODE_NAME"
}

// readOwn learns the UID of this node's Node, once.
func (c *Cluster) readOwn(ctx context.Context) error {
	if c.ownUID() != "" {
		return nil
	}
	_, err := c.getOwn(ctx)
	return err
}

func (c *Cluster) ownUID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.uid
}

// podCIDR returns the first IPv4 subnet of a Node; zero where it has none at
// all.
func podCIDR(n *node) (netip.Prefix, error) {
	all := append([]string{n.Spec.PodCIDR}, n.Spec.PodCIDRs...)
	other := ""
	for _, text := range all {
		if text == "" {
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err == nil && p.Addr().Is4() && p == p.Masked() {
			return p, nil
		}
		other = oneLine(text)
	}
	if other != "" {
		return netip.Prefix{}, misfit("Node %s has the podCIDR %s, and no IPv4 one: flanneld carries IPv4; give the controller manager an IPv4 --cluster-cidr", n.Metadata.Name, other)
	}
	return netip.Prefix{}, nil
}

// checkDefault refuses to found the default network where the podCIDR of this
// node is not in it.
func (c *Cluster) checkDefault() error {
	c.mu.Lock()
	pin := c.pin
	c.mu.Unlock()
	if pin.IsValid() && !c.Network.IsValid() && !c.Default.Contains(pin.Addr()) {
		return misfit("Node %s has the podCIDR %s, which is not in the default network %s: give --network the --cluster-cidr of the controller manager",
			c.Node, pin, c.Default)
	}
	return nil
}
