// SPDX-License-Identifier: Apache-2.0

package view

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"flanneld/internal/control"
	"flanneld/internal/plan"
	"flanneld/internal/problem"
	"flanneld/route"
)

// Ping sends probes over each path to a peer, or over one alone, all at the
// same time. size is the length of each in bytes, 0 the shortest.
func (v *View) Ping(ctx context.Context, node, path string, count, size int) (control.Pinged, error) {
	r, err := v.peer(node)
	if err != nil {
		return control.Pinged{}, err
	}
	name, probes := nameOf(r).Text(), v.probes()
	switch {
	case r.Kind == route.Local:
		return control.Pinged{}, fmt.Errorf("%s is this node", name)
	case len(r.Candidates) == 0:
		return control.Pinged{}, fmt.Errorf("%s is not reached: %s", name, r.Why)
	case probes == nil:
		return control.Pinged{}, errors.New("there is no data plane yet: see flanneld status")
	}
	wanted := slices.Clone(r.Ways())
	if path != "" {
		wanted = slices.DeleteFunc(wanted, func(c plan.Candidate) bool { return string(c.Path) != path })
	}
	if len(wanted) == 0 {
		return control.Pinged{}, fmt.Errorf("%s is no path to %s: this node has --backend %s", path, name, v.cfg().Backend)
	}
	out := control.Pinged{Node: nameOf(r), State: stateOf(r), Subnet: r.Prefix, Reason: r.Why, Paths: make([]control.PingedPath, len(wanted))}
	var all sync.WaitGroup
	for i, c := range wanted {
		all.Go(func() { out.Paths[i] = v.pingPath(ctx, probes, r, c, count, size) })
	}
	all.Wait()
	return out, nil
}

// pingPath sends probes over one path.
func (v *View) pingPath(ctx context.Context, probes prober, r plan.Route, c plan.Candidate, count, size int) control.PingedPath {
	out := control.PingedPath{Path: string(c.Path), Used: c.Used, Why: c.Why, MTU: v.largest(r, c.Path)}
	if !c.Possible {
		return out
	}
	if preferred := r.InUse(); !c.Used && out.Why == "" && preferred != "" {
		out.Why = fmt.Sprintf("%s is preferred", preferred)
	}
	got, err := probes.Ping(ctx, r.ID, c.Path, count, size)
	if err == nil && got.Received == 0 {
		err = got.Refused
	}
	if err != nil {
		out.Why = problem.OneLine(err.Error())
	}
	out.Sent, out.Received, out.Largest = got.Sent, got.Received, got.Largest
	out.Min, out.Avg, out.Max = control.SecondsOf(got.Min), control.SecondsOf(got.Avg), control.SecondsOf(got.Max)
	return out
}

// peer finds the route to what a user names: a node's name or ID, the beginning
// of an ID, a static peer's address, or an overlay address.
func (v *View) peer(text string) (plan.Route, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		if _, r, ok := v.Routes.Lookup(a); ok {
			return r, nil
		}
	}
	var found []plan.Route
	for _, r := range v.Routes.Plan().Routes {
		if r.Name == text || r.ID == text || !r.Node.IsZero() && r.Node.HasPrefix(text) {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return plan.Route{}, v.unknown(text)
	}
	var names []string
	for _, r := range found {
		names = append(names, fmt.Sprintf("%s with %s", nameOf(r).Text(), r.Prefix))
	}
	return plan.Route{}, fmt.Errorf("%s is ambiguous: %s; give an ID, or an address in the subnet", text, strings.Join(names, ", "))
}

// unknown says why there is no route to what a user names.
func (v *View) unknown(text string) error {
	for _, n := range v.Snapshot().Nodes {
		if n.Name == text || n.ID.String() == text {
			return fmt.Errorf("%s has no subnet that is routed: see flanneld nodes", control.NodeName{ID: n.ID.String(), Name: n.Name}.Text())
		}
	}
	return fmt.Errorf("no node is called %s: see flanneld nodes", text)
}
