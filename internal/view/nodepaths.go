// SPDX-License-Identifier: Apache-2.0

package view

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"flanneld/internal/control"
	"flanneld/internal/monitor"
	"flanneld/internal/plan"
	"flanneld/internal/probe"
	"flanneld/internal/problem"
	"flanneld/route"
)

// prober sends probes and knows what became of them; *monitor.Monitor is one.
type prober interface {
	Result(id string, p plan.Path) (r probe.Result, known bool)
	Ping(ctx context.Context, id string, p plan.Path, count, size int) (probe.PingResult, error)
}

// probes returns the prober of the present data plane; nil while there is none.
func (v *View) probes() prober {
	if v.prober != nil {
		return v.prober
	}
	if m := v.Live().Monitor; m != nil {
		return m
	}
	return nil
}

// nodePaths lists the paths to a peer as `nodes` shows them, with what has
// arrived by each. It never returns nil.
func (v *View) nodePaths(r plan.Route, arrived map[monitor.TrafficKey]monitor.Traffic) []control.NodePath {
	all, probes := []control.NodePath{}, v.probes()
	for _, c := range r.Candidates {
		one := v.nodePath(r, c, probes)
		if c.Path == plan.PathUDP {
			one.Shortcut = v.nodeShortcut(r, probes)
		}
		one.Arrived = control.Traffic(arrived[monitor.TrafficKey{Path: c.Path, Lease: r.Prefix}])
		all = append(all, one)
	}
	return all
}

func (v *View) nodePath(r plan.Route, c plan.Candidate, probes prober) control.NodePath {
	out := control.NodePath{Path: string(c.Path), State: proofStates[c.State], Used: c.Used, Why: c.Why, MTU: v.largest(r, c.Path)}
	if !c.Possible {
		out.State = control.PathImpossible
	}
	if !c.Possible || probes == nil {
		return out
	}
	result, known := probes.Result(r.ID, c.Path)
	if !known {
		return out
	}
	if !c.Path.Kernel() || c.Used { // the result of another one may be old
		out.State = pathStates[result.State]
	}
	if out.Why == "" && out.State == pathStates[result.State] {
		out.Why = pathNote(result)
	}
	out.RTT, out.Sent, out.Lost, out.Size = control.SecondsOf(result.RTT), result.Sent, result.Lost, result.Size
	return out
}

var proofStates = map[plan.ProofState]string{
	plan.Unproven: control.PathUnproven, plan.Proven: control.PathWorks, plan.Failed: control.PathFailed,
}

// pathInUse is the data path to a peer, as `nodes` shows it.
func pathInUse(r plan.Route, found map[string]probe.Result) control.Path {
	if result, probed := found[r.ID]; probed {
		return pathOf(result)
	}
	if i := slices.IndexFunc(r.Candidates, func(c plan.Candidate) bool { return c.Used }); i >= 0 && r.Path.Kernel() {
		c := r.Candidates[i]
		return control.Path{State: proofStates[c.State], Note: c.Why}
	}
	return control.Path{}
}

// largest returns the length of the largest packet that a path to a peer takes
// whole, in bytes.
func (v *View) largest(r plan.Route, p plan.Path) int {
	n := v.MTU
	if r.MTU > 0 {
		n = min(n, r.MTU)
	}
	if peer := v.Routes.Peer(r.ID); peer != nil && p.Datagrams() && peer.PathMTU() > 0 {
		n = min(n, peer.PathMTU())
	}
	return n
}

// backend says how this node sends, and to how many peers by which path.
func (v *View) backend() control.Backend {
	list := v.cfg().Backend
	if len(list) == 0 {
		list = []plan.Path{plan.PathUDP}
	}
	peers := map[plan.Path]int{}
	for _, r := range v.Routes.Plan().Routes {
		if r.Kind == route.Via {
			peers[r.Path]++
		}
	}
	out := control.Backend{Names: []string{}, Paths: []control.BackendPath{}}
	for _, p := range list {
		out.Names = append(out.Names, p.Backend())
		one := control.BackendPath{Path: string(p), Peers: peers[p]}
		if v.Unavailable != nil && p.Kernel() {
			one.Unavailable = v.Unavailable(p)
		}
		out.Paths = append(out.Paths, one)
		delete(peers, p)
	}
	if n := peers[plan.PathUDP]; n > 0 { // static peers, whatever the list has
		out.Paths = append(out.Paths, control.BackendPath{Path: string(plan.PathUDP), Peers: n})
	}
	return out
}

// noPathNamed is how many peers are named that no path leads to.
const noPathNamed = 4

// noPath names the live peers that no path leads to. Peers with one reason are
// one problem.
func (v *View) noPath() []control.Problem {
	names, reasons := map[string][]string{}, []string{}
	planned := v.Routes.Plan()
	for _, r := range planned.Routes {
		if !r.Pathless() {
			continue
		}
		_, reason, _ := strings.Cut(planned.Notes[r.ID].Text, ": ")
		if names[reason] == nil {
			reasons = append(reasons, reason)
		}
		names[reason] = append(names[reason], nameOf(r).Text())
	}
	problems := []control.Problem{}
	for _, reason := range reasons {
		all := names[reason]
		if more := len(all) - noPathNamed; more > 0 {
			all = append(all[:noPathNamed:noPathNamed], fmt.Sprintf("%d more", more))
		}
		problems = append(problems, control.Problem{
			Part: problem.PartBackend, Text: fmt.Sprintf("no path leads to %s: %s", strings.Join(all, ", "), reason),
			Advice: fmt.Sprintf("give both hosts a path in common: here --backend is %s; a list ends with udp, which works everywhere", v.cfg().Backend),
		})
	}
	return problems
}

// nameOf names the holder of a route.
func nameOf(r plan.Route) control.NodeName {
	if r.Node.IsZero() {
		return control.NodeName{Name: r.Name}
	}
	return control.NodeName{ID: r.ID, Name: r.Name}
}

// stateOf is the holder's state as control has it.
func stateOf(r plan.Route) string {
	if r.Node.IsZero() {
		return control.StateStatic
	}
	return r.State.String()
}

// routesByID finds the routes to peers. Of a host with several, it is the last
// one.
func routesByID(p plan.Plan) map[string]plan.Route {
	routes := make(map[string]plan.Route, len(p.Routes))
	for _, r := range p.Routes {
		routes[r.ID] = r
	}
	return routes
}
