// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"
)

// How one of several nodes founds the network.
//
// The node that creates the Lease is its holder, and founds. Its Node's name
// and UID and its own ID are in the Lease. So the same node founds if it was
// stopped in between, and another node of that name does not.
//
// The Lease of a holder that is gone for good can be taken over: its Node is
// not in the cluster any more, or was made anew, or is this node's, with an
// identity that is lost. Of several nodes one succeeds, because the API server
// refuses an update of an old version.
//
// Before a holder founds, it looks for a network that may be there, although no
// node of it answers: each member marks its Node with the network's ID. A mark
// ends with its Node. So a cluster whose nodes were all replaced founds anew by
// itself, and one whose Lease was deleted does not found twice.

// takeOverAfter is how long a Lease has to be unchanged, as seen from here,
// before it is taken over from a holder that is gone.
const takeOverAfter = 15 * time.Second

// lastSeen is a version of the Lease, and since when it has been the last.
type lastSeen struct {
	version string
	since   time.Time
}

// MayFound reports whether the node with an ID, whose gossip is at an endpoint,
// is to found the network. Where it is not, the reason says what is waited for.
// An error that is an [ErrConfig] stays until a setting changes. Calls must not
// overlap.
func (c *Cluster) MayFound(ctx context.Context, id string, at netip.AddrPort) (yes bool, reason string, err error) {
	if err := c.readOwn(ctx); err != nil {
		return false, "", err
	}
	l, err := c.Client.getLease(ctx, c.namespace, c.Lease)
	switch {
	case hasCode(err, http.StatusNotFound):
		l, err = c.Client.createLease(ctx, c.namespace, c.held(lease{Metadata: meta{Name: c.Lease, Namespace: c.namespace}}, id, at))
		if hasCode(err, http.StatusConflict) {
			return false, "another node has just created " + c.leaseName() + ", and founds the network", nil
		}
		if err != nil {
			return false, "", err
		}
	case err != nil:
		return false, "", err
	}
	if err := c.checkLease(&l); err != nil {
		return false, "", err
	}
	if !c.holds(&l, id) {
		if reason, err := c.awaitHolder(ctx, &l); reason != "" || err != nil {
			return false, reason, err
		}
		if l, err = c.Client.updateLease(ctx, c.namespace, c.held(l, id, at)); err != nil {
			return c.lost(err)
		}
	}
	return c.found(ctx, l)
}

// found reports whether the holder of the Lease may found now.
func (c *Cluster) found(ctx context.Context, l lease) (yes bool, reason string, err error) {
	marked, id, err := c.firstMark(ctx)
	if err != nil {
		return false, "", err
	}
	if marked != "" {
		return false, fmt.Sprintf("Node %s is in network %s (annotation %s) and does not answer: start flanneld there, or delete the Node if it is gone for good",
			marked, id, noteNetwork), nil
	}
	if err := c.checkDefault(); err != nil {
		return false, "", err
	}
	// The last word is the API server's: it refuses where another node has
	// taken the Lease over since it was read.
	if _, err := c.Client.updateLease(ctx, c.namespace, l); err != nil {
		return c.lost(err)
	}
	return true, "", nil
}

// lost turns the failure of an update into an answer.
func (c *Cluster) lost(err error) (yes bool, reason string, _ error) {
	if hasCode(err, http.StatusConflict) || hasCode(err, http.StatusNotFound) {
		return false, c.leaseName() + " has just been changed by another node", nil
	}
	return false, "", err
}

// held makes this node the holder of a Lease.
func (c *Cluster) held(l lease, id string, at netip.AddrPort) lease {
	now := time.Now().UTC().Format(microTime)
	if l.Spec.HolderIdentity != "" {
		l.Spec.LeaseTransitions++
	}
	l.Spec.HolderIdentity, l.Spec.AcquireTime, l.Spec.RenewTime = c.Node+"/"+id, now, now
	l.Metadata.Annotations = map[string]string{noteSeed: at.String(), noteUID: c.ownUID(), noteNetwork: c.founded().String()}
	return l
}

// founded is the network that this node founds.
func (c *Cluster) founded() netip.Prefix {
	if c.Network.IsValid() {
		return c.Network
	}
	return c.Default
}

// checkLease refuses the Lease of another network, or of another program.
func (c *Cluster) checkLease(l *lease) error {
	name, id := l.holder()
	prefix, err := netip.ParsePrefix(l.Metadata.Annotations[noteNetwork])
	switch {
	case err != nil || name == "" || id == "":
		return misfit("%s is not one of flanneld's: name another with --join k8s:NAME", c.leaseName())
	case c.Network.IsValid() && prefix != c.Network:
		return misfit("%s is of network %s, and --network says %s: give all nodes the same, or name another Lease with --join k8s:NAME",
			c.leaseName(), prefix, c.Network)
	}
	return nil
}

// holds reports whether this node holds the Lease.
func (c *Cluster) holds(l *lease, id string) bool {
	name, holder := l.holder()
	return name == c.Node && holder == id
}

// awaitHolder returns what is waited for while another node holds the Lease,
// and "" when the Lease is to be taken over.
func (c *Cluster) awaitHolder(ctx context.Context, l *lease) (reason string, err error) {
	name, _ := l.holder()
	shown := oneLine(name)
	gone, err := c.isGone(ctx, name, l.Metadata.Annotations[noteUID])
	if err != nil {
		return "", err
	}
	if !gone {
		c.waiting = nil
		return fmt.Sprintf("Node %s is to found the network (%s); is flanneld running there?", shown, c.leaseName()), nil
	}
	if c.waiting == nil || c.waiting.version != l.Metadata.ResourceVersion {
		c.waiting = &lastSeen{l.Metadata.ResourceVersion, time.Now()}
	}
	if time.Since(c.waiting.since) < takeOverAfter {
		return fmt.Sprintf("Node %s, which was to found the network, is gone: taking over its %s soon", shown, c.leaseName()), nil
	}
	return "", nil
}

// isGone reports whether the holder of a Lease can never come back: its Node is
// another one by now, or is this node's, whose identity is lost.
func (c *Cluster) isGone(ctx context.Context, name, uid string) (bool, error) {
	if name == c.Node {
		return true, nil
	}
	n, err := c.Client.getNode(ctx, name)
	switch {
	case hasCode(err, http.StatusNotFound):
		return true, nil
	case err != nil:
		return false, err
	}
	return n.Metadata.UID != uid, nil
}

// markPage is how many Nodes one question for marks gets.
const markPage = 500

// firstMark returns another Node that is marked as a member of a network, and
// that network's ID; "" where there is none. Only the holder of the Lease asks
// for all Nodes.
func (c *Cluster) firstMark(ctx context.Context) (name, id string, err error) {
	for next := ""; ; {
		page, err := c.Client.listNodes(ctx, markPage, next, true)
		if err != nil {
			return "", "", err
		}
		for _, n := range page.Items {
			if id := n.Metadata.Annotations[noteNetwork]; id != "" && n.Metadata.Name != c.Node {
				return oneLine(n.Metadata.Name), oneLine(id), nil
			}
		}
		if next = page.Metadata.Continue; next == "" {
			return "", "", nil
		}
	}
}
