// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"syscall"
	"time"

	"flanneld/internal/host/underlay"
)

// moveTime bounds one attempt to move the gossip.
const moveTime = 10 * time.Second

// mover moves the daemon to another underlay address. It belongs to the
// goroutine of Run.
type mover struct{ *daemon }

// Move binds new data sockets and moves the gossip. On an error everything is
// as it was.
func (m mover) Move(to underlay.Underlay) error {
	if err := m.checkPlace(to); err != nil {
		return err
	}
	from := m.watch.Here()
	sockets, err := m.planes.settings.Listen(to.Addr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), moveTime)
	defer cancel()
	if err := m.node.Move(ctx, to.PublicAddr, to.Addr); err != nil {
		sockets.Close()
		return err
	}
	m.planes.sockets.Close()
	m.planes.sockets = sockets
	m.events.moved(from, to)
	return nil
}

// Moved puts the data plane on the new sockets.
func (m mover) Moved() error {
	p := m.planes.current()
	if p == nil {
		return nil
	}
	m.closePlane()
	return m.openPlane(p.Lease(), p.Network())
}

// checkUnderlay looks at the underlay. Where its device has another name by
// now, kernel paths and their checks have to be made for that.
func (d *daemon) checkUnderlay() error {
	if err := d.watch.Check(); err != nil {
		return err
	}
	d.followUnderlay()
	p, name := d.planes.current(), d.watch.Here().Interface
	if p == nil || !p.rules.Wants() || p.rules.Underlay == name {
		return nil
	}
	d.log.Warn("the underlay address is on another device; kernel paths are made again", "device", name, "before", p.rules.Underlay)
	return d.postpone(mover{d}.Moved())
}

// AddressBack makes the data plane that was postponed.
func (m mover) AddressBack() error { return m.update() }

// checkPlace asks of a new address what is asked at the start.
func (d *daemon) checkPlace(u underlay.Underlay) error {
	if err := d.checkExposure(u); err != nil {
		return err
	}
	if network := d.node.Snapshot().Network.Prefix; network.IsValid() {
		return u.Outside(network)
	}
	return nil
}

// postpone takes the error of a data plane that could not be made. While the
// host does not have the underlay address, no socket can be bound to it: the
// plane is made when the address is back. Any other error is final.
func (d *daemon) postpone(err error) error {
	if !errors.Is(err, syscall.EADDRNOTAVAIL) {
		return err
	}
	d.watch.Await(err)
	return nil
}
