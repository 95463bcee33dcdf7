// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"flanneld/internal/dataplane"
	"flanneld/internal/host"
	"flanneld/internal/host/firewall"
	"flanneld/internal/host/guard"
	"flanneld/internal/host/link"
	"flanneld/internal/host/pathrules"
	"flanneld/internal/monitor"
	"flanneld/internal/plan"
	"flanneld/internal/view"
	"flanneld/peers"
	"flanneld/tun"
)

// txQueueLen is the device's queue towards flanneld, in packets: what Ethernet
// devices have, twice a TUN's default, to bridge the pauses of a busy host.
const txQueueLen = 1000

// planes is the present data plane, and what outlives it.
type planes struct {
	settings dataplane.Settings
	routes   *dataplane.Routes
	totals   dataplane.Totals
	sockets  dataplane.Sockets     // bound for the next plane; nil: none
	plane    atomic.Pointer[plane] // nil: none; only Run's goroutine stores
	opened   bool                  // a plane was made since the start
}

// plane is a data plane with what the daemon runs beside it.
type plane struct {
	*dataplane.Plane
	monitor   *monitor.Monitor
	rules     pathrules.Config // which kernel paths are checked
	underlay  string           // the device that the short-cut has
	stop      context.CancelFunc
	monitored chan struct{}   // closed when the monitor and what counts have ended
	settled   <-chan struct{} // closed by the guard after its first look at the rules; nil once that was seen
	announced bool            // the files are written and READY=1 was sent
}

// current is the present plane, nil without one.
func (p *planes) current() *plane { return p.plane.Load() }

// live is the present plane for a view.
func (p *planes) live() view.Live {
	if now := p.current(); now != nil {
		return view.Live{Plane: now.Plane, Monitor: now.monitor}
	}
	return view.Live{}
}

// proof is what probes say of a path to a peer.
func (p *planes) proof(id string, path plan.Path) plan.Proof {
	if now := p.current(); now != nil {
		return now.monitor.Proof(id, path)
	}
	return plan.Proof{}
}

// failed is where the end of forwarding is reported, nil without a plane.
func (p *planes) failed() <-chan error {
	if now := p.current(); now != nil {
		return now.Done()
	}
	return nil
}

// settled is ready when everything around a new plane is in place.
func (p *planes) settled() <-chan struct{} {
	if now := p.current(); now != nil {
		return now.settled
	}
	return nil
}

// replacePlane makes the data plane for the lease in s. One for another lease
// is taken down first.
func (d *daemon) replacePlane(s *peers.Snapshot) error {
	lease, network := s.Self.Lease.Prefix, s.Network.Prefix
	if err := d.cfg.CheckStaticPeers(network, netip.Prefix{}, d.loopback); err != nil {
		return err
	}
	d.reportOwnSubnet(lease)
	if old := d.planes.current(); old != nil {
		d.log.Warn("lease changed: docker0 and other container networks must be given the new subnet", "old", old.Lease(), "new", lease)
		d.closePlane()
	}
	return d.openPlane(lease, network)
}

// openPlane makes a data plane, with its routes, and starts all that belongs to
// it.
func (d *daemon) openPlane(lease, network netip.Prefix) error {
	// Routes first, so that the first packet finds them.
	if err := d.route(d.node.Snapshot()); err != nil {
		return err
	}
	paths := d.pathConfig(lease, network)
	rules := firewall.Config{
		Network: network, Lease: lease, Device: d.cfg.Device, Masquerade: d.cfg.IPMasq, Tunnels: d.overlayDevices(tunnels(paths)),
		Underlay: d.watch.Here().Interface,
	}
	if d.direct() {
		rules.Direct = paths.Underlay
	}
	if err := rules.Validate(); err != nil {
		return err
	}
	opened, err := retake(d.planes.opened, tun.ErrBusy, func() (*dataplane.Plane, error) {
		return dataplane.Open(dataplane.Config{
			Settings: d.planes.settings, Lease: lease, Routes: d.planes.routes, Listen: d.takeSockets, Sealer: d.sealing.sealer.Load(),
			Link: link.Config{
				Name: d.cfg.Device, Alias: link.AliasPrefix + " " + d.node.Snapshot().Self.ID.String(), Addr: lease.Addr(),
				MTU: d.mtu, Network: network, TxQueueLen: txQueueLen,
			},
		})
	})
	if err != nil {
		return err
	}
	p := &plane{Plane: opened, rules: d.pathRules(paths), underlay: d.watch.Here().Interface, monitored: make(chan struct{})}
	p.monitor = monitor.New(monitor.Config{
		Plane: opened, Routes: d.planes.routes, Snapshot: d.node.Snapshot, Port: d.cfg.Port, Problems: d.problems, Log: d.log,
		Here:    func() netip.Addr { return d.watch.Here().Addr },
		Crossed: d.guard.JudgeSoon, Rules: d.hub,
		Kernel: d.pathsKernel(paths), Replan: func() { host.Poke(d.replan) },
	})
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	opened.Start(p.monitor.Answers)
	go func() {
		defer close(p.monitored)
		var all sync.WaitGroup
		all.Go(func() { p.monitor.Run(ctx) })
		if d.kernelPossible() {
			all.Go(func() { d.followShortcut(ctx) })
		}
		all.Wait()
	}()
	if p.settled, err = d.guard.Keep(guard.Target{Device: p.Link(), Rules: rules}); err != nil {
		return err // not after Validate
	}
	d.guard.KeepPaths(p.rules, paths, d.sendersNow)
	d.keepShortcut(lease)
	if !d.planes.opened {
		d.inherit(paths)
	}
	d.planes.totals.Begin(p.Stats)
	d.planes.opened = true
	d.planes.plane.Store(p)
	return d.route(d.node.Snapshot()) // by what this host has
}

// takeSockets returns the sockets that are bound already, or binds new ones.
func (d *daemon) takeSockets() (dataplane.Sockets, error) {
	if sockets := d.planes.sockets; sockets != nil {
		d.planes.sockets = nil
		return sockets, nil
	}
	return retake(d.planes.opened, syscall.EADDRINUSE, func() (dataplane.Sockets, error) {
		return d.planes.settings.Listen(d.watch.Here().Addr)
	})
}

// The last plane's sockets and its device may be held for a moment by a child
// process that is about to become iptables.
const (
	retakeTries = 100
	retakePause = 20 * time.Millisecond
)

// retake opens what this process may have had before, and tries again while it
// is busy.
func retake[T any](before bool, busy error, open func() (T, error)) (T, error) {
	opened, err := open()
	for try := 0; before && errors.Is(err, busy) && try < retakeTries; try++ {
		time.Sleep(retakePause)
		opened, err = open()
	}
	return opened, err
}

// closePlane stops forwarding and guarding. The device stays.
func (d *daemon) closePlane() {
	p := d.planes.current()
	if p == nil {
		return
	}
	p.stop()
	<-p.monitored
	p.Close()
	d.guard.Release()
	d.planes.totals.End()
	d.planes.plane.Store(nil)
}

// rebuild makes a new plane after forwarding has failed. Only a device that
// another program deleted is a reason to go on.
func (d *daemon) rebuild(failure error) error {
	p := d.planes.current()
	d.closePlane()
	if !errors.Is(failure, tun.ErrDeviceGone) {
		return fmt.Errorf("forwarding ended: %w", failure)
	}
	d.log.Warn("device was deleted by another program; making it again", "device", d.cfg.Device)
	if err := d.openPlane(p.Lease(), p.Network()); err != nil {
		return d.postpone(err)
	}
	d.guard.DeviceRepaired("device " + d.cfg.Device + " was deleted, and is made again")
	return nil
}
