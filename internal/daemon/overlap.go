// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"net/netip"

	"flanneld/internal/host/bridge"
	"flanneld/internal/host/underlay"
	"flanneld/internal/problem"
)

// checkNetwork decides whether peers may use a network, before it does. lease
// is what this node held in it when it stopped, zero where it held none.
func (d *daemon) checkNetwork(network, lease netip.Prefix) error {
	if err := d.watch.Here().Outside(network); err != nil {
		return err
	}
	found, held, err := d.overlaps(network, lease)
	if err != nil {
		return err
	}
	if err := d.judgeOverlaps(network, found, held); err != nil {
		return err
	}
	d.overlapped.Store(&overlapped{network, lease})
	return d.cfg.CheckStaticPeers(network, netip.Prefix{}, d.loopback)
}

// overlaps lists what is in the network's way on this host, and reports whether
// the host has a lease in it. Then its containers run already.
func (d *daemon) overlaps(network, lease netip.Prefix) (found []underlay.Overlap, held bool, err error) {
	var ours []netip.Prefix
	for _, own := range []netip.Prefix{lease, d.leaseOnDisk()} {
		if own.IsValid() && network.Contains(own.Addr()) {
			ours, held = append(ours, own), true
		}
	}
	if bridges, err := bridge.List(); err == nil { // otherwise Overlaps says it
		ours = append(ours, bridge.Subnets(bridges, network, d.cfg.SubnetLenOf(network))...)
	}
	found, err = underlay.Overlaps(network, d.cfg.Device, ours...)
	return found, held, err
}

// judgeOverlaps decides which overlaps end the start. A host without a lease
// can still choose another network. A host with running containers goes on, and
// reports what is in the way.
func (d *daemon) judgeOverlaps(network netip.Prefix, found []underlay.Overlap, held bool) error {
	for _, o := range found {
		switch {
		case o.Shadowed:
			d.log.Warn("a route of this host covers the network; the network's own route has precedence", "network", network, "covered by", o.What)
		case d.cfg.AllowOverlap:
			d.log.Warn("the network overlaps what this host has, and --allow-overlap is given", "network", network, "overlaps", o.What)
		case !held:
			return d.refusal(network, o)
		}
	}
	d.reportOverlaps(network, found)
	return nil
}

// overlapped is where overlaps were looked for when this node came to use its
// network.
type overlapped struct{ network, lease netip.Prefix }

// reviewOverlaps ends each problem that no longer has its cause.
func (d *daemon) reviewOverlaps() {
	o := d.overlapped.Load()
	if o == nil || d.cfg.AllowOverlap {
		return
	}
	found, _, err := d.overlaps(o.network, o.lease)
	if err != nil {
		d.log.Debug("overlaps are not reviewed", "error", err)
		return
	}
	if !d.reportOverlaps(o.network, found) {
		d.overlapped.Store(nil) // what comes later is reported as a detour
	}
}

// reportOverlaps reports what this host goes on with, and whether there is any.
func (d *daemon) reportOverlaps(network netip.Prefix, found []underlay.Overlap) (any bool) {
	var problems []problem.Problem
	for _, o := range found {
		if !o.Shadowed && !d.cfg.AllowOverlap {
			problems = append(problems, problem.Problem{
				Text:   fmt.Sprintf("network %s overlaps %s", network, o.What),
				Advice: o.Remedy + ", or start with --allow-overlap if other nodes are reached all the same",
			})
		}
	}
	d.problems.Report(problem.PartOverlap, problems...)
	return len(problems) > 0
}

// refusal says what can be done: only a node that founds a network chooses it.
func (d *daemon) refusal(network netip.Prefix, o underlay.Overlap) error {
	if d.cfg.Founds() {
		return fmt.Errorf("network %s overlaps %s: choose another with --network, %s, or give --allow-overlap to start all the same", network, o.What, o.Remedy)
	}
	return fmt.Errorf("network %s, which the nodes to --join have, overlaps %s: %s, or give --allow-overlap to start all the same "+
		"(another --network can only be chosen where a network is founded)", network, o.What, o.Remedy)
}
