// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
)

// DefaultLease is the name of the Lease, and so of the network, where none is
// given.
const DefaultLease = "flanneld"

// Config is what a [Cluster] needs to know.
type Config struct {
	Client *Client
	Node   string // name of this node's Node
	Lease  string // in the pod's namespace; "": DefaultLease
	// Network is the overlay network; zero: any. A founder then founds
	// Default.
	Network, Default netip.Prefix
	GossipPort       uint16 // of all nodes
}

// Cluster is a Kubernetes cluster as one of its nodes sees it. It may be used
// concurrently.
type Cluster struct {
	Config
	namespace string

	mu   sync.Mutex
	next string       // where the next page of nodes begins; "": the first
	uid  string       // of this node's Node; "": not known yet
	pin  netip.Prefix // this node's podCIDR

	waiting *lastSeen // the Lease of a holder that is gone; MayFound's alone
}

// NewCluster makes one. It sends nothing.
func NewCluster(c Config) (*Cluster, error) {
	if c.Lease == "" {
		c.Lease = DefaultLease
	}
	namespace, err := c.Client.Namespace()
	if err != nil {
		return nil, err
	}
	return &Cluster{Config: c, namespace: namespace}, nil
}

// String is the source as --join names it.
func (c *Cluster) String() string {
	if c.Lease == DefaultLease {
		return "k8s"
	}
	return "k8s:" + c.Lease
}

// pageSize is how many nodes one question gets. Each answer has another page.
const pageSize = 50

// Seeds returns the gossip endpoints of some nodes of the cluster. The founder
// comes first, where the Lease names it.
func (c *Cluster) Seeds(ctx context.Context) ([]string, error) {
	c.mu.Lock()
	next := c.next
	c.mu.Unlock()
	page, err := c.Client.listNodes(ctx, pageSize, next, false)
	if hasCode(err, http.StatusGone) { // the page's snapshot is too old
		page, err = c.Client.listNodes(ctx, pageSize, "", false)
	}
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.next = page.Metadata.Continue
	c.mu.Unlock()
	seeds := c.seeds(page.Items)
	if l, err := c.Client.getLease(ctx, c.namespace, c.Lease); err == nil {
		name, _ := l.holder()
		if at, err := netip.ParseAddrPort(l.Metadata.Annotations[noteSeed]); err == nil && at.Addr().Is4() && name != c.Node {
			seeds = append([]string{at.String()}, seeds...)
		}
	}
	return seeds, nil
}

// seeds are the endpoints of nodes, without this one.
func (c *Cluster) seeds(nodes []node) []string {
	var seeds []string
	for i := range nodes {
		if addr, ok := nodes[i].address(); ok && nodes[i].Metadata.Name != c.Node {
			seeds = append(seeds, net.JoinHostPort(addr.String(), strconv.Itoa(int(c.GossipPort))))
		}
	}
	return seeds
}

// leaseName names the Lease in messages.
func (c *Cluster) leaseName() string { return fmt.Sprintf("Lease %s/%s", c.namespace, c.Lease) }
