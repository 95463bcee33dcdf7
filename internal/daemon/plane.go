package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"flanneld/encap"
	"flanneld/internal/host/firewall"
	"flanneld/internal/host/link"
	"flanneld/internal/poll"
	"flanneld/internal/probe"
	"flanneld/peers"
	"flanneld/route"
	"flanneld/tun"
)

// txQueueLen is the device's queue towards us, in packets: what Ethernet
// devices have, twice a TUN's default, to bridge the pauses of a busy host.
const txQueueLen = 1000

// plane is the data plane for one lease: device and forwarder. The guard keeps
// what it needs on the host.
type plane struct {
	lease     netip.Prefix
	network   netip.Prefix
	link      link.Config
	device    *tun.Device
	sockets   []*encap.Conn // the forwarder's, for looking at
	forwarder *route.Forwarder
	prober    *probe.Prober   // of the paths to peers
	mirror    *probe.Prober   // of this host's own device
	crossing  *probe.Crossing // from the device to the bridge of containers
	surveyor  *surveyor
	cancel    context.CancelFunc
	done      chan error      // what the forwarder returned, once
	probed    chan struct{}   // closed when probers and surveyor have ended
	settled   <-chan struct{} // closed by the guard after its first look at the rules; nil once that was seen
	announced bool            // the files are written and READY=1 was sent
}

// replacePlane makes the data plane for the lease in s. One for another lease
// is taken down first.
func (d *daemon) replacePlane(s *peers.Snapshot) error {
	lease, network := s.Self.Lease.Prefix, s.Network.Prefix
	if err := d.cfg.CheckStaticPeers(network, netip.Prefix{}, d.loopback); err != nil {
		return err
	}
	d.reportOwnSubnet(lease)
	if d.plane != nil {
		d.log.Warn("lease changed: docker0 must be given the new subnet", "old", d.plane.lease, "new", lease)
		d.closePlane()
	}
	// Routes first, so that the first packet finds them.
	if err := d.route(s); err != nil {
		return err
	}
	p, err := d.openPlane(lease, network)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.plane = p
	d.mu.Unlock()
	return nil
}

// openPlane opens the device, sets it up, and starts forwarding. On failure
// nothing is left open, and a device that it made is gone again.
func (d *daemon) openPlane(lease, network netip.Prefix) (_ *plane, err error) {
	if _, err := link.Owned(d.cfg.Device); err != nil {
		return nil, err
	}
	p := &plane{
		lease: lease, network: network,
		done: make(chan error, 1), probed: make(chan struct{}),
		link: link.Config{
			Name: d.cfg.Device, Alias: link.AliasPrefix + " " + d.node.Snapshot().Self.ID, Addr: lease.Addr(),
			MTU: d.mtu, Network: network, TxQueueLen: txQueueLen,
		},
	}
	if p.device, err = tun.Open(tun.Config{Name: p.link.Name, Alias: p.link.Alias, Queues: d.socketConfig().AllLanes(), Offloads: deviceOffloads(d.cfg)}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.device.Close())
			if p.device.Created() {
				err = errors.Join(err, link.Remove(p.link.Name))
			}
		}
	}()
	changes, err := link.Ensure(p.link)
	if err != nil {
		return nil, err
	}
	if err := d.startForwarder(p); err != nil {
		return nil, err
	}
	d.opened = true
	d.log.Info("forwarding", "device", p.link.Name, "lease", lease, "mtu", d.mtu, "lanes", d.cfg.Lanes,
		"created", p.device.Created(), "changes", len(changes))
	return p, nil
}

// startForwarder starts the forwarder and the guard.
func (d *daemon) startForwarder(p *plane) error {
	rules, err := firewall.New(firewall.Config{Network: p.network, Lease: p.lease, Device: p.link.Name, Masquerade: d.cfg.IPMasq})
	if err != nil {
		return err
	}
	sockets := d.sockets
	if d.sockets = nil; sockets == nil {
		if sockets, err = d.listen(); err != nil {
			return err
		}
	}
	p.prober, p.mirror = d.newProber(p.lease, sockets), d.newMirror(p)
	p.crossing = d.newCrossing(p)
	p.surveyor = &surveyor{log: d.log, network: p.network, lease: p.lease, device: p.link.Name}
	p.surveyor.changed = func() { d.reportDetours(p.surveyor) }
	p.forwarder, err = route.NewForwarder(route.Config{
		Answers: p.answers,
		Lanes:   lanes(p.device, sockets), Table: &d.routing.table, Lease: p.lease, MTU: d.mtu, Logger: d.log,
		OnThread: func() { raisePriority(d.log) }, Hurry: d.hurry(), CPUTime: cpuTime,
	})
	if err != nil {
		closeSockets(sockets)
		return err
	}
	p.sockets = sockets
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	d.aim(p)
	go func() { p.done <- p.forwarder.Run(ctx) }()
	go func() {
		defer close(p.probed)
		d.prove(ctx, p)
	}()
	p.settled = d.guard.keep(p.link, p.lease, rules)
	return nil
}

// lanes joins queue i with socket i: tun.Open and encap.Listen were asked for
// the same number.
func lanes(device *tun.Device, sockets []*encap.Conn) []route.Lane {
	lanes := make([]route.Lane, len(sockets))
	for i, queue := range device.Queues() {
		waiter := poll.NewWaiter(queue.Descriptor(), sockets[i].Descriptor())
		lanes[i] = route.Lane{Queue: queue, Conn: sockets[i], Waiter: waiter, Express: sockets[i].Express()}
	}
	return lanes
}

// closePlane stops forwarding and guarding. The device stays. Traffic counted
// so far is kept.
func (d *daemon) closePlane() {
	p := d.plane
	if p == nil {
		return
	}
	p.cancel()
	<-p.probed
	for _, part := range []string{"path", "mirror", "crossing", "route", "mtu"} {
		d.problems.Report(part)
	}
	if p.done != nil {
		<-p.done
	}
	d.guard.release()
	_ = p.device.Close() // its queues were the forwarder's
	d.mu.Lock()
	defer d.mu.Unlock()
	d.totals.add(p.forwarder.Stats())
	d.plane = nil
}

// rebuild makes a new plane after the forwarder has failed. Only a device that
// somebody deleted is a reason to go on.
func (d *daemon) rebuild(failure error) error {
	lease, network := d.plane.lease, d.plane.network
	d.plane.done = nil // it was just read
	d.closePlane()
	if !errors.Is(failure, tun.ErrDeviceGone) {
		return fmt.Errorf("forwarding ended: %w", failure)
	}
	d.log.Warn("device was deleted by somebody, making it again", "device", d.cfg.Device)
	p, err := d.openPlane(lease, network)
	if err != nil {
		return d.postpone(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.plane = p
	d.guard.deviceRepaired()
	return nil
}

// failed is where the forwarder's end is reported, nil without one.
func (d *daemon) failed() <-chan error {
	if d.plane == nil {
		return nil
	}
	return d.plane.done
}

// settled is where a new plane says that everything is in place.
func (d *daemon) settled() <-chan struct{} {
	if d.plane == nil {
		return nil
	}
	return d.plane.settled
}
