// SPDX-License-Identifier: Apache-2.0

package view

import (
	"net/netip"
	"os"
	"runtime"
	"time"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/dataplane"
	"flanneld/internal/host/link"
	"flanneld/internal/probe"
	"flanneld/internal/problem"
	"flanneld/peers"
)

// Status describes this node.
func (v *View) Status() control.Status {
	v.bringUpToDate()
	s, paths := v.Snapshot(), v.paths()
	return v.status(s, v.judged(s, paths), v.sealing())
}

// StatusAndNodes is Status and Nodes by one look at the host.
func (v *View) StatusAndNodes() (control.Status, control.Nodes) {
	v.bringUpToDate()
	s, paths := v.Snapshot(), v.paths()
	judged, sessions := v.judged(s, paths), v.sealing()
	return v.status(s, judged, sessions), v.nodes(s, paths, judged, sessions)
}

// status adds to what is judged everything else that is known.
func (v *View) status(s *peers.Snapshot, out control.Status, sessions dataplane.SealStatus) control.Status {
	u := v.Here()
	out.Version, out.PID, out.Uptime = v.Version, os.Getpid(), control.SecondsOf(time.Since(v.Started))
	out.Node = control.NodeName{ID: s.Self.ID.String(), Name: s.Self.Name}
	if n := s.Network; n.Prefix.IsValid() {
		out.Network = control.Network{
			ID: n.ID().String(), Prefix: n.Prefix, SubnetLen: int(n.SubnetLen), SubnetMin: n.SubnetMin, SubnetMax: n.SubnetMax,
		}
	}
	out.Underlay = control.Underlay{Interface: u.Interface, Address: u.Addr, PublicAddress: u.PublicAddr, MTU: u.MTU}
	out.Endpoint = netip.AddrPortFrom(u.PublicAddr, v.cfg().Port)
	out.Gossip = netip.AddrPortFrom(u.PublicAddr, v.cfg().GossipPort)
	out.Security = securityOf(v.cfg(), s.Sealed)
	out.Security.Sealing = sumOf(sessions)
	out.Security.Sealing.Roamed, out.Security.Sealing.Roams = len(v.Routes.Roamed()), v.Routes.Roams()
	out.Lanes, out.Offloads = v.cfg().Lanes, v.offloads()
	out.Members, out.Backend = members(s, v.cfg().StaticPeers), v.backend()
	v.count(&out, s)
	out.Shortcut = v.shortcut()
	out.Metrics, out.Process = metricsOf(v.cfg()), process()
	return out
}

// metricsOf is where metrics and health are served.
func metricsOf(c config.Config) control.Metrics {
	return control.Metrics{Address: c.Metrics, Exposed: c.MetricsExposed()}
}

// judged returns a status with verdict and readiness, and with what these stand
// on: the lease, the conflicts, the data paths, and what is kept on the host.
func (v *View) judged(s *peers.Snapshot, paths map[string]probe.Result) control.Status {
	out := control.Status{Lease: leaseOf(s), Conflicts: conflicts(s, v.cfg().StaticPeers), Paths: countPaths(paths)}
	found := findings(v.Check())
	p, h := v.Live().Plane, v.Host()
	out.Device = control.Device{Name: v.cfg().Device, State: control.DeviceAbsent, MTU: v.MTU}
	out.Host = hostOf(v.cfg())
	out.Host.IPForwardChanged, out.Host.FirewallRepairs, out.Host.DeviceRepairs = h.ForwardingChanged, h.FirewallRepairs, h.DeviceRepairs
	if h.Repairs != nil {
		out.Host.Repairs = h.Repairs
	}
	out.Host.ReadyAfter, out.Host.StrayBridge = control.SecondsOf(h.ReadyAfter), found.text(problem.PartBridge)
	if p != nil {
		out.Host.Firewall, out.Host.FirewallNote = h.Firewall, h.FirewallNote
		out.Device.Address = p.Link().Addr
		out.Device.State, out.Device.Note = found.device()
	}
	judge(&out, found, v.Problems, v.noPath()...)
	out.Readiness = readiness(out, v.othersOf(s, paths))
	return out
}

// offloads lists what could be left to the kernel; empty without a plane.
func (v *View) offloads() []control.Offload {
	all := []control.Offload{}
	if p := v.Live().Plane; p != nil {
		for _, o := range p.Offloads() {
			all = append(all, control.Offload(o))
		}
	}
	return all
}

// hostOf is what the configuration and the kernel say of this host.
func hostOf(c config.Config) control.Host {
	on, _ := link.ForwardingEnabled() // a switch that cannot be read counts as off
	return control.Host{IPForward: on, Masquerade: c.IPMasq, SubnetFile: c.SubnetPath(), DockerFile: c.DockerPath(), Repairs: map[string]uint64{}}
}

func process() control.Process {
	descriptors, memory := usage()
	return control.Process{Goroutines: runtime.NumGoroutine(), Descriptors: descriptors, Memory: memory}
}
