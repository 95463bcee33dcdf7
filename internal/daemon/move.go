package daemon

import (
	"context"
	"errors"
	"syscall"
	"time"

	"flanneld/internal/host/underlay"
	"flanneld/peers"
)

// moveTo goes on at another underlay address: first everything that can fail
// without harm, then gossip, then the data plane. why says what made it.
func (d *daemon) moveTo(u underlay.Underlay, why string) error {
	l := &d.lookout
	l.rearm(lookAgain)
	if err := d.checkPlace(u); err != nil {
		d.complain(err)
		return nil
	}
	sockets, err := d.listenOn(u.Addr)
	if err != nil {
		d.complain(err)
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), moveTime)
	defer cancel()
	if err := d.node.Move(ctx, u.PublicAddr, u.Addr); err != nil {
		closeSockets(sockets)
		if !errors.Is(err, peers.ErrNotRunning) { // not yet: it is tried again
			d.complain(err)
		}
		return nil
	}
	d.log.Warn("moved to another underlay address", "was", d.underlay, "is", u, "reason", why)
	if !l.home.Addr.IsValid() {
		l.home = d.underlay
	}
	l.trouble, l.tries, l.tryAt = "", 0, time.Now().Add(trialPause)
	l.count(time.Now())
	l.unproven = true
	l.answer.since = time.Time{} // members are still to be met there
	d.settleDown(u)
	d.reportUnderlay(true, nil)
	closeSockets(d.sockets)
	d.sockets = sockets
	return d.renewPlane()
}

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

// renewPlane puts the data plane on the new sockets.
func (d *daemon) renewPlane() error {
	if d.plane == nil {
		return nil
	}
	lease, network := d.plane.lease, d.plane.network
	d.closePlane()
	p, err := d.openPlane(lease, network)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.plane = p
	return nil
}

// postpone takes the error of a data plane that could not be made. While the
// host does not have the underlay address, no socket can be bound to it: the
// plane is made when the address is back. Any other error is final.
func (d *daemon) postpone(err error) error {
	if !errors.Is(err, syscall.EADDRNOTAVAIL) {
		return err
	}
	d.lookout.planeDue = true
	d.lookout.rearm(lookAgain)
	d.complain(err)
	return nil
}
