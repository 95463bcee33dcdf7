// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"

	"flanneld/internal/control"
	"flanneld/internal/probe"
	"flanneld/peers"
)

// Ready reports whether this node does its work for containers.
func (v *View) Ready() control.Readiness {
	return v.judged(v.Snapshot(), v.paths()).Readiness
}

// others are the other nodes that hold a lease.
type others struct {
	up     int // alive, or suspected to be dead
	dead   int
	proven int // of those up: packets reach them and come back
}

// othersOf counts the other nodes with a lease. Static peers are not counted:
// gossip does not know whether they live.
func (v *View) othersOf(s *peers.Snapshot, paths map[string]probe.Result) (o others) {
	routes := routesByID(v.Routes.Plan())
	for _, n := range s.Nodes {
		if n.Self || !n.Lease.Prefix.IsValid() {
			continue
		}
		switch n.State {
		case peers.Dead:
			o.dead++
		case peers.Alive, peers.Suspect:
			o.up++
			if r, ok := routes[n.ID.String()]; ok && pathInUse(r, paths).State == control.PathWorks {
				o.proven++
			}
		}
	}
	return o
}

// readiness judges what a status shows.
func readiness(s control.Status, o others) control.Readiness {
	r := control.Readiness{Missing: []string{}}
	missing := func(format string, args ...any) { r.Missing = append(r.Missing, fmt.Sprintf(format, args...)) }
	if s.Lease.State != peers.Confirmed.String() {
		missing("%s", leaseProblem(s.Lease))
	}
	if s.Device.State != control.DeviceUp {
		missing("%s", deviceProblem(s.Device))
	}
	switch s.Host.Firewall {
	case control.FirewallOK, control.FirewallNone: // without iptables, rules are the operator's
	case "":
		missing("the firewall rules are not in place yet")
	case control.FirewallOverruled:
		missing("rules of other programs drop overlay traffic: %s", s.Host.FirewallNote)
	default:
		missing("the firewall rules are not in place: %s", s.Host.FirewallNote)
	}
	if s.Host.ReadyAfter == 0 {
		missing("%s and %s are not written yet", s.Host.SubnetFile, s.Host.DockerFile)
	}
	switch {
	case o.up > 0 && o.proven == 0:
		missing("no data path to another node is proven: packets reach 0 of %d", o.up)
	case o.up == 0 && o.dead > 0: // a node that is cut off sees the same
		missing("no data path to another node is proven: all %d others are dead, or this node is cut off; flanneld forget NODE strikes one out", o.dead)
	}
	r.Ready = len(r.Missing) == 0
	return r
}
