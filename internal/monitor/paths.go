// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"flanneld/internal/control"
	"flanneld/internal/plan"
	"flanneld/internal/probe"
	"flanneld/internal/problem"
	"flanneld/peers"
)

// nameOf names a node so that it is told from others of the same name.
func nameOf(n peers.NodeInfo) string { return control.NodeName{ID: n.ID.String(), Name: n.Name}.Text() }

// pathTrouble is a data path that does not work as it should.
type pathTrouble struct {
	probe.Result
	path     plan.Path
	why      string // why no path is left; "": it is about one path
	name     string // of the node
	static   bool
	endpoint netip.AddrPort
}

// reportPaths reports which data paths do not work. Paths to nodes that gossip
// suspects to be dead are no news.
func (m *Monitor) reportPaths() {
	results := m.Paths()
	troubles := m.troubles(results)
	m.troubled.Store(len(troubles) > 0)
	m.cfg.Problems.Report(problem.PartPath, pathProblems(troubles, len(results), m.cfg.Here(), m.cfg.Port, m.cfg.Plane.Link().MTU)...)
}

// troubles lists the data paths that do not work as they should.
func (m *Monitor) troubles(results map[string]probe.Result) (troubles []pathTrouble) {
	nodes := m.cfg.Snapshot().NodesByID()
	all := m.cfg.Routes.Plan()
	for _, planned := range all.Routes {
		r, probed := results[planned.ID]
		why := cutOff(planned, all)
		if why == "" && (!probed || r.State != probe.Failed && r.State != probe.SmallOnly) {
			continue
		}
		if planned.Shortcut().Used {
			continue // user space takes over at once, and is probed then
		}
		n, node := nodes[planned.Node]
		if node && n.State != peers.Alive {
			continue
		}
		t := pathTrouble{Result: r, path: pathOf(planned), why: why, name: planned.Name, static: !node, endpoint: planned.Endpoint}
		if node {
			t.name = nameOf(n)
		}
		if c, ok := planned.Candidate(t.path); ok && c.Endpoint.IsValid() {
			t.endpoint = netip.AddrPortFrom(c.Endpoint, c.Port)
		}
		troubles = append(troubles, t)
	}
	return troubles
}

// cutOff says why a live peer has no path at all, "" where it has one.
func cutOff(r plan.Route, all plan.Plan) string {
	if !r.Pathless() {
		return ""
	}
	return all.Notes[r.ID].Text
}

// pathsNamed is how many data paths are named one by one.
const pathsNamed = 5

// pathProblems says what does not work, and what to do. probed is how many
// peers there are.
func pathProblems(troubles []pathTrouble, probed int, self netip.Addr, port uint16, mtu int) []problem.Problem {
	silent := func(t pathTrouble) bool {
		return t.State == probe.Failed && !t.Arriving && t.Refused == nil && t.why == "" && !t.path.Kernel()
	}
	if len(troubles) == probed && probed > 1 && !slices.ContainsFunc(troubles, func(t pathTrouble) bool { return !silent(t) }) {
		return []problem.Problem{{
			Text:   "no peer is reached: none answers, and nothing arrives from any peer",
			Advice: fmt.Sprintf("open UDP port %d of %s on this host, and on the way to it (nft list ruleset; ufw status; firewall-cmd --list-all)", port, self),
		}}
	}
	var all []problem.Problem
	for i, t := range troubles {
		if i == pathsNamed {
			all = append(all, problem.Problem{Text: fmt.Sprintf("data paths to more than %d other peers do not work", pathsNamed), Advice: "see `flanneld nodes`"})
			break
		}
		all = append(all, t.problem(self, port, mtu))
	}
	return all
}

func (t pathTrouble) problem(self netip.Addr, port uint16, mtu int) problem.Problem {
	to := fmt.Sprintf("data path to %s at %s", t.name, t.endpoint)
	there := fmt.Sprintf("open UDP port %d on %s for %s", t.endpoint.Port(), t.name, self)
	switch {
	case strings.Contains(t.why, plan.NotHere):
		return problem.Problem{
			Text:   fmt.Sprintf("%s at %s is not reached: %s", t.name, t.endpoint.Addr(), t.why),
			Advice: "see what `flanneld status` says of kernel paths on this host, or give --backend another path beside it",
		}
	case t.why != "":
		return problem.Problem{
			Text:   fmt.Sprintf("%s at %s is not reached: %s", t.name, t.endpoint.Addr(), t.why),
			Advice: fmt.Sprintf("%s, or give --backend another path beside it", t.open(self)),
		}
	case t.path.Kernel():
		return problem.Problem{
			Text:   fmt.Sprintf("%s path to %s at %s does not work", t.path, t.name, t.endpoint.Addr()),
			Advice: t.open(self) + fmt.Sprintf(" (flanneld ping %s)", t.name),
		}
	case t.State == probe.SmallOnly && t.static:
		return problem.Problem{
			Text:   fmt.Sprintf("%s takes small packets only: those of %d bytes are lost", to, t.Tried),
			Advice: fmt.Sprintf("its device may have a smaller MTU than %d: look there (ip link), and give that as --mtu here", mtu),
		}
	case t.State == probe.SmallOnly:
		return problem.Problem{
			Text:   fmt.Sprintf("%s takes small packets only: those of %d bytes are lost", to, t.Tried),
			Advice: fmt.Sprintf("find what drops large UDP datagrams on the way (tracepath -n %s), or start all nodes with a smaller --mtu", t.endpoint.Addr()),
		}
	case t.Refused != nil:
		advice := fmt.Sprintf("this host needs a route to %s, and its output rules must let UDP to it (ip route get %[1]s; nft list ruleset)", t.endpoint.Addr())
		return problem.Problem{Text: fmt.Sprintf("%s does not work: this host does not send there: %v", to, t.Refused), Advice: advice}
	case t.Arriving:
		return problem.Problem{Text: to + " does not work: packets come from it, but it does not answer", Advice: there + " (nft list ruleset; ufw status; firewall-cmd --list-all)"}
	}
	return problem.Problem{
		Text:   to + " does not work: it does not answer, and nothing comes from it",
		Advice: fmt.Sprintf("%s; and UDP port %d of this host for it", there, port),
	}
}

// open says what has to pass between the hosts for packets to take the path.
func (t pathTrouble) open(self netip.Addr) string {
	switch t.path {
	case plan.PathVXLAN:
		return fmt.Sprintf("let VXLAN (UDP port %d) pass between %s and %s", t.endpoint.Port(), self, t.endpoint.Addr())
	case plan.PathIPIP:
		return fmt.Sprintf("let IP protocol 4 pass between %s and %s", self, t.endpoint.Addr())
	case plan.PathDirect:
		return fmt.Sprintf("%s and %s have to be on one segment that lets foreign addresses pass", self, t.endpoint.Addr())
	}
	if t.endpoint.Port() == 0 { // a static peer by a kernel path that this host has not
		return "see `flanneld nodes` for what it lacks"
	}
	return fmt.Sprintf("let UDP port %d pass between %s and %s", t.endpoint.Port(), self, t.endpoint.Addr())
}
