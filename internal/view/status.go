// SPDX-License-Identifier: Apache-2.0

package view

import (
	"errors"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"time"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/host/bridge"
	"flanneld/internal/host/link"
)

// Status describes this node.
func (v *View) Status() control.Status {
	s, u := v.Snapshot(), v.Here()
	out := control.Status{
		Version: v.Version, PID: os.Getpid(), Uptime: control.SecondsOf(time.Since(v.Started)),
		Node: control.NodeName{ID: s.Self.ID, Name: s.Self.Name},
		Network: control.Network{
			ID: s.Network.ID, Prefix: s.Network.Prefix, SubnetLen: s.Network.SubnetLen,
			SubnetMin: s.Network.SubnetMin, SubnetMax: s.Network.SubnetMax,
		},
		Lease: leaseOf(s),
		Underlay: control.Underlay{
			Interface: u.Interface, Address: u.Addr, PublicAddress: u.PublicAddr, MTU: u.MTU,
		},
		Endpoint: netip.AddrPortFrom(u.PublicAddr, v.cfg().Port),
		Gossip:   netip.AddrPortFrom(u.PublicAddr, v.cfg().GossipPort),
		Security: security(s.Sealed),
		Lanes:    v.cfg().Lanes, Offloads: []control.Offload{},
		Members:   members(s, v.cfg().StaticPeers),
		Conflicts: conflicts(s, v.cfg().StaticPeers),
		Paths:     countPaths(v.paths()),
		Process:   process(),
	}
	v.fillLive(&out)
	v.judge(&out)
	return out
}

// fillLive adds what changes with the plane.
func (v *View) fillLive(out *control.Status) {
	p, sum, h := v.Live().Plane, v.Totals.Sum(), v.Host()
	out.Egress, out.Ingress, out.Drops = control.Traffic(sum.Egress), control.Traffic(sum.Ingress), sum.Drops
	out.Device = control.Device{Name: v.cfg().Device, State: control.DeviceAbsent, MTU: v.MTU}
	out.Host = hostOf(v.cfg())
	out.Host.IPForwardChanged, out.Host.FirewallRepairs, out.Host.DeviceRepairs = h.ForwardingChanged, h.FirewallRepairs, h.DeviceRepairs
	out.Host.ReadyAfter = control.SecondsOf(h.ReadyAfter)
	if p == nil {
		return
	}
	out.Host.Firewall, out.Host.FirewallNote = h.Firewall, h.FirewallNote
	if found, err := bridge.List(); err == nil {
		out.Host.StrayBridge = bridge.Stray(found, p.Network(), p.Lease())
	}
	for _, o := range p.Offloads() {
		out.Offloads = append(out.Offloads, control.Offload(o))
	}
	out.Device.Address = p.Link().Addr
	out.Device.State, out.Device.Note = deviceState(p.Link())
}

// hostOf is what the configuration and the kernel say of this host.
func hostOf(c config.Config) control.Host {
	on, _ := link.ForwardingEnabled() // a switch that cannot be read counts as off
	return control.Host{IPForward: on, Masquerade: c.IPMasq, SubnetFile: c.SubnetPath(), DockerFile: c.DockerPath()}
}

// deviceState looks at the device as it is now.
func deviceState(c link.Config) (state, note string) {
	wrong, err := link.Check(c)
	switch {
	case errors.Is(err, link.ErrNoDevice):
		return control.DeviceAbsent, "deleted by another program"
	case err != nil:
		return control.DeviceBroken, err.Error()
	case len(wrong) > 0:
		return control.DeviceBroken, strings.Join(wrong, "; ")
	}
	return control.DeviceUp, ""
}

func security(sealed bool) control.Security {
	note := "any root process on a member host can send packets in that host's name, and any host of the underlay can read them and join; for a trusted network"
	if sealed {
		note = "gossip needs the cluster key; packets travel in the clear, and any root process on a member host can send some in that host's name; for a trusted network"
	}
	return control.Security{GossipSealed: sealed, Note: note}
}

func process() control.Process {
	descriptors, memory := usage()
	return control.Process{Goroutines: runtime.NumGoroutine(), Descriptors: descriptors, Memory: memory}
}
