// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"net/netip"
	"slices"

	"flanneld/internal/control"
	"flanneld/internal/host/fib"
	"flanneld/internal/monitor"
	"flanneld/internal/plan"
	"flanneld/route"
)

// Route returns the next hop of an address as the next batch would use it, and
// where the kernel sends packets to it.
func (v *View) Route(a netip.Addr) control.Route {
	out, planned := v.nextHop(a)
	out.Paths, out.Kernel = v.nodePaths(planned, v.arrived()), []control.KernelRoute{}
	if a.Is4() {
		out.Kernel = v.kernelRoutes(a, out.Kind != control.RouteOutside && out.Kind != control.RouteLocal, planned)
	}
	return out
}

// nextHop is Route without the kernel's answers. planned is zero where there is
// no next hop.
func (v *View) nextHop(a netip.Addr) (out control.Route, planned plan.Route) {
	s := v.Snapshot()
	out = control.Route{Address: a, Kind: control.RouteOutside}
	switch {
	case !s.Network.Prefix.IsValid():
		out.Reason = "the network is not known yet: " + s.Waiting
		return out, planned
	case !s.Network.Prefix.Contains(a):
		out.Reason = fmt.Sprintf("not in the network %s: the host's own routing decides", s.Network.Prefix)
		return out, planned
	}
	hop, planned, ok := v.Routes.Lookup(a)
	if !ok {
		out.Kind = control.RouteNone
		out.Reason = "no node holds a subnet with this address: packets are answered with ICMP net unreachable"
		return out, planned
	}
	v.explain(&out, planned)
	if hop.Endpoint.IsValid() {
		out.Endpoint = hop.Endpoint // of a sealed peer that has roamed
	}
	return out, planned
}

// explain says why the table has a next hop.
func (v *View) explain(out *control.Route, planned plan.Route) {
	out.Prefix, out.Kind, out.Path, out.Endpoint = planned.Prefix, planned.Kind.String(), string(planned.Path), planned.Endpoint
	out.Node, out.State, out.Reason, out.MTU = nameOf(planned), stateOf(planned), planned.Why, v.MTU
	if planned.Kind != route.Local {
		out.MTU = v.largest(planned, planned.Path)
	}
}

// kernelRoutes asks the kernel where packets to an address go, also with the
// marks that its rules ask for. wanted says that they ought to go to the device
// or along the planned kernel path.
func (v *View) kernelRoutes(a netip.Addr, wanted bool, planned plan.Route) []control.KernelRoute {
	p := v.Live().Plane
	all := []control.KernelRoute{}
	if p == nil {
		return all
	}
	from, err := monitor.Origins(p.Lease())
	if err != nil {
		return all
	}
	if host, err := fib.Read(p.Network(), p.Link().Name); err == nil {
		for _, o := range slices.Clone(from) {
			for _, mark := range host.Marks {
				o.Mark = mark
				from = append(from, o)
			}
		}
	}
	for _, o := range from {
		answer, err := fib.Ask(a, o)
		if err != nil {
			continue
		}
		ours := answer.Device == p.Link().Name || planned.Path.Kernel() && answer.KernelPath && answer.Prefix == planned.Prefix
		all = append(all, control.KernelRoute{From: o.String(), Device: answer.Device, Text: answer.Text, InTheWay: wanted && !ours})
	}
	return all
}
