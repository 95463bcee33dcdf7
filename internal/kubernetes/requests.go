// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// All requests of this package. The roles of the manifest allow these and no
// others; a test compares both.

const leaseGroup = "coordination.k8s.io"

func (c *Client) getNode(ctx context.Context, name string) (n node, err error) {
	err = c.do(ctx, request{verb: "get", method: http.MethodGet, resource: "nodes", path: "/api/v1/nodes/" + url.PathEscape(name)}, &n)
	return n, err
}

// listNodes gets one page. marks asks for metadata only, which is much smaller.
func (c *Client) listNodes(ctx context.Context, limit int, next string, marks bool) (l list, err error) {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if next != "" {
		q.Set("continue", next)
	}
	r := request{verb: "list", method: http.MethodGet, resource: "nodes", path: "/api/v1/nodes", query: q}
	if marks {
		r.accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
	}
	return l, c.do(ctx, r, &l)
}

// patchStatus merges a patch into a Node, by its status: conditions by their
// type, annotations by their name.
func (c *Client) patchStatus(ctx context.Context, name string, patch any) error {
	return c.do(ctx, request{verb: "patch", method: http.MethodPatch, resource: "nodes/status", path: "/api/v1/nodes/" + url.PathEscape(name) + "/status",
		content: "application/strategic-merge-patch+json", body: patch}, nil)
}

func leasePath(namespace string) string {
	return "/apis/" + leaseGroup + "/v1/namespaces/" + url.PathEscape(namespace) + "/leases"
}

func (c *Client) getLease(ctx context.Context, namespace, name string) (l lease, err error) {
	err = c.do(ctx, request{verb: "get", method: http.MethodGet, group: leaseGroup, resource: "leases", path: leasePath(namespace) + "/" + url.PathEscape(name)}, &l)
	return l, err
}

// createLease fails with 409 if there is such a Lease.
func (c *Client) createLease(ctx context.Context, namespace string, l lease) (made lease, err error) {
	l.APIVersion, l.Kind = leaseGroup+"/v1", "Lease"
	err = c.do(ctx, request{verb: "create", method: http.MethodPost, group: leaseGroup, resource: "leases", path: leasePath(namespace),
		content: "application/json", body: l}, &made)
	return made, err
}

// updateLease fails with 409 if the Lease has another resource version by now.
func (c *Client) updateLease(ctx context.Context, namespace string, l lease) (made lease, err error) {
	l.APIVersion, l.Kind = leaseGroup+"/v1", "Lease"
	l.Spec.RenewTime = time.Now().UTC().Format(microTime)
	err = c.do(ctx, request{verb: "update", method: http.MethodPut, group: leaseGroup, resource: "leases",
		path: leasePath(namespace) + "/" + url.PathEscape(l.Metadata.Name), content: "application/json", body: l}, &made)
	return made, err
}
