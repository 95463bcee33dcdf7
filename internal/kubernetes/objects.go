// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"net/netip"
	"strings"
	"time"
)

// The parts of API objects that are used here. Field names are those of
// Kubernetes' JSON.

// meta is an object's metadata.
type meta struct {
	Name              string            `json:"name,omitempty"`
	Namespace         string            `json:"namespace,omitempty"`
	UID               string            `json:"uid,omitempty"`
	ResourceVersion   string            `json:"resourceVersion,omitempty"`
	CreationTimestamp time.Time         `json:"creationTimestamp,omitzero"`
	Annotations       map[string]string `json:"annotations,omitempty"`
	Labels            map[string]string `json:"labels,omitempty"`
	OwnerReferences   []any             `json:"ownerReferences,omitempty"`
}

// node is a Node of v1.
type node struct {
	Metadata meta `json:"metadata"`
	Spec     struct {
		PodCIDR  string   `json:"podCIDR"`
		PodCIDRs []string `json:"podCIDRs"`
	} `json:"spec"`
	Status struct {
		Addresses []struct {
			Type    string `json:"type"`
			Address string `json:"address"`
		} `json:"addresses"`
	} `json:"status"`
}

// address is the node's first internal IPv4 address.
func (n *node) address() (netip.Addr, bool) {
	for _, a := range n.Status.Addresses {
		if addr, err := netip.ParseAddr(a.Address); err == nil && addr.Is4() && a.Type == "InternalIP" {
			return addr, true
		}
	}
	return netip.Addr{}, false
}

// list is a page of Nodes.
type list struct {
	Metadata struct {
		Continue string `json:"continue"`
	} `json:"metadata"`
	Items []node `json:"items"`
}

// lease is a Lease of coordination.k8s.io/v1.
type lease struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Metadata   meta      `json:"metadata"`
	Spec       leaseSpec `json:"spec"`
}

type leaseSpec struct {
	HolderIdentity   string `json:"holderIdentity,omitempty"`
	AcquireTime      string `json:"acquireTime,omitempty"`
	RenewTime        string `json:"renewTime,omitempty"`
	LeaseTransitions int    `json:"leaseTransitions,omitempty"`
}

// The annotations of the Lease and, the first one, of Nodes.
const (
	// noteNetwork is the ID of the network that a Node is in. On the Lease it
	// is the network's prefix.
	noteNetwork = "flanneld/network"
	noteSeed    = "flanneld/seed"     // of the Lease: the founder's gossip endpoint
	noteUID     = "flanneld/node-uid" // of the Lease: the UID of the founder's Node
)

// microTime is the format of a Lease's times.
const microTime = "2006-01-02T15:04:05.000000Z07:00"

// holder takes a Lease's holder apart: the name of a Node, and the ID of a node
// of the network.
func (l *lease) holder() (name, id string) {
	name, id, _ = strings.Cut(l.Spec.HolderIdentity, "/")
	return name, id
}

// isLabel reports whether a text is a DNS label (RFC 1123), as names of
// namespaces are.
func isLabel(text string) bool {
	return len(text) <= 63 && !strings.Contains(text, ".") && isSubdomain(text)
}

// isSubdomain reports whether a text is a DNS subdomain (RFC 1123), as names of
// Nodes and Leases are.
func isSubdomain(text string) bool {
	if text == "" || len(text) > 253 {
		return false
	}
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}
