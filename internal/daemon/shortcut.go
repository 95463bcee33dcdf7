// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/dataplane"
	"flanneld/internal/host"
	"flanneld/internal/host/shortcut"
	"flanneld/internal/monitor"
	"flanneld/internal/plan"
	"flanneld/internal/probe"
	"flanneld/peers"
	"flanneld/route"
)

// shortcuts is the short-cut of this daemon: whether it is on, and what the
// part on the host was told.
type shortcuts struct {
	on atomic.Bool
	// left reports that an earlier start has left the programs, and that this
	// one has not looked after them yet. They take packets meanwhile.
	left atomic.Bool
	// switching is a request to switch it on or off.
	switching chan switchRequest

	mu   sync.Mutex
	told map[netip.Prefix]shortcut.Peer
}

// switchRequest is answered after the switch.
type switchRequest struct {
	on   bool
	done chan error
}

// rememberShortcut finds out whether an earlier start has left the programs. A
// sealed network has none: they send packets in the clear.
func (d *daemon) rememberShortcut() {
	if d.cfg.Sealed {
		return
	}
	d.shortcuts.on.Store(d.cfg.Shortcut == config.ShortcutAuto)
	d.shortcuts.left.Store(len(shortcut.NewPart(d.cfg.Device).Present()) > 0)
}

// shortcutConfig is this host's end of the short-cut; nil where it is off.
func (d *daemon) shortcutConfig(lease netip.Prefix) *shortcut.Config {
	if !d.shortcuts.on.Load() || !d.kernelPossible() {
		return nil
	}
	u := d.watch.Here()
	return &shortcut.Config{
		Device: d.cfg.Device, Lease: lease, Underlay: u.Interface, Endpoint: netip.AddrPortFrom(u.Addr, d.cfg.Port), MTU: d.mtu,
	}
}

// keepShortcut has the guard look after the short-cut of a data plane, with the
// peers that are known.
func (d *daemon) keepShortcut(lease netip.Prefix) {
	d.tellShortcut(d.planes.routes.Plan())
	d.guard.KeepShortcut(context.Background(), d.shortcutConfig(lease))
	d.shortcuts.left.Store(false)
}

// shortcutState is what this host has of the short-cut.
func (d *daemon) shortcutState() shortcut.State {
	if d.loopback {
		return shortcut.State{Why: "the underlay is the loopback interface"}
	}
	return d.parts.Shortcut.State()
}

// shortcutLack says why this host has not the short-cut, "" where it has.
func (d *daemon) shortcutLack() string { return d.parts.Shortcut.State().Why }

// takesShortcut reports whether other nodes may send packets for the programs
// of this host.
func (d *daemon) takesShortcut() bool {
	switch {
	case !d.shortcuts.on.Load() || !d.kernelPossible():
		return false
	case d.shortcuts.left.Load():
		return true
	}
	return d.parts != nil && d.parts.Shortcut.State().Ready
}

// shortcutProbes is how the short-cut is proven.
func (d *daemon) shortcutProbes() *monitor.Shortcut {
	return &monitor.Shortcut{
		Device: func() string {
			if d.takesShortcut() {
				return d.cfg.Device
			}
			return ""
		},
		Mark:  shortcut.ProbeMark,
		Stamp: probe.Stamp{Asked: [8]byte([]byte(shortcut.ProbeAsked)), Seen: [8]byte([]byte(shortcut.ProbeSeen))},
	}
}

// tellShortcut gives the part what a plan changes. All routes to peers are in
// it: they tell which packets may come in.
func (d *daemon) tellShortcut(p plan.Plan) {
	next := map[netip.Prefix]shortcut.Peer{}
	for _, r := range p.Routes {
		if r.Kind != route.Local && r.Endpoint.Addr().Is4() {
			next[r.Prefix] = d.shortcutPeer(r)
		}
	}
	d.shortcuts.mu.Lock()
	defer d.shortcuts.mu.Unlock()
	var set []shortcut.Peer
	var gone []netip.Prefix
	for prefix, peer := range next {
		if old, known := d.shortcuts.told[prefix]; !known || old != peer {
			set = append(set, peer)
		}
	}
	for prefix := range d.shortcuts.told {
		if _, stays := next[prefix]; !stays {
			gone = append(gone, prefix)
		}
	}
	if d.shortcuts.told == nil || len(set)+len(gone) > 0 {
		d.parts.Shortcut.Update(set, gone)
	}
	d.shortcuts.told = next
}

// shortcutPeer is a peer's end of the short-cut.
func (d *daemon) shortcutPeer(r plan.Route) shortcut.Peer {
	return shortcut.Peer{Prefix: r.Prefix, Endpoint: r.Endpoint, Limit: d.limit(r), Send: r.Shortcut().Used}
}

// limit is the length of the longest packet that may be sent to a peer, in
// bytes.
func (d *daemon) limit(r plan.Route) int {
	if peer := d.planes.routes.Peer(r.ID); peer != nil {
		return min(d.mtu, peer.Limit())
	}
	return d.mtu
}

// lookTime is between two looks at what the kernel has carried, and at which
// packets it may.
const lookTime = time.Second

// followShortcut counts what the kernel carries, and has the part told anew
// where the limit of a peer has changed, until ctx ends.
func (d *daemon) followShortcut(ctx context.Context) {
	tick := time.NewTicker(lookTime)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		d.countShortcut()
		if d.limitsChanged() {
			host.Poke(d.replan)
		}
	}
}

func (d *daemon) limitsChanged() bool {
	routes := d.planes.routes.Plan().Routes
	d.shortcuts.mu.Lock()
	defer d.shortcuts.mu.Unlock()
	for _, r := range routes {
		if told, known := d.shortcuts.told[r.Prefix]; known && told.Send && told.Limit != d.limit(r) {
			return true
		}
	}
	return false
}

// countShortcut adds what the kernel has carried since the last time.
func (d *daemon) countShortcut() {
	if !d.kernelPossible() {
		return
	}
	ids := map[netip.Prefix]string{}
	d.planes.totals.Carried.Read(func() (map[netip.Prefix]dataplane.Flow, dataplane.Flow) {
		prefixes := []netip.Prefix{}
		for _, r := range d.planes.routes.Plan().Routes {
			if r.Kind != route.Local {
				ids[r.Prefix] = r.ID
				prefixes = append(prefixes, r.Prefix)
			}
		}
		flows := make(map[netip.Prefix]dataplane.Flow, len(prefixes))
		for prefix, t := range d.parts.Shortcut.Traffic(prefixes...) {
			flows[prefix] = flowOf(t)
		}
		return flows, flowOf(d.parts.Shortcut.Total())
	}, func(p netip.Prefix) *route.Peer { return d.planes.routes.Peer(ids[p]) })
}

func flowOf(t shortcut.Traffic) dataplane.Flow {
	return dataplane.Flow{Egress: route.Volume(t.Sent), Ingress: route.Volume(t.Received)}
}

// shortcutChanged follows a change of what this host has of the short-cut.
func (d *daemon) shortcutChanged() error {
	s := d.parts.Shortcut.State()
	if d.shortcuts.on.Load() && d.planes.current() != nil {
		d.log.Info("the short-cut in the kernel", "ready", s.Ready, "why", s.Why, "notes", s.Notes)
	}
	why := s.Why
	if !d.shortcuts.on.Load() {
		why = plan.WhyShortcutIsOff(d.cfg.Sealed, d.shortcutSwitched())
	}
	d.events.shortcut(s.Ready, why)
	return d.pathsChanged()
}

// followUnderlay makes the programs anew where the underlay's device has
// another name by now.
func (d *daemon) followUnderlay() {
	if p := d.planes.current(); p != nil && p.underlay != d.watch.Here().Interface {
		p.underlay = d.watch.Here().Interface
		d.keepShortcut(p.Lease())
	}
}

// Shortcut switches the short-cut until the next start, and returns when it is
// done. Packets in flight arrive: either way takes them.
func (d *daemon) Shortcut(ctx context.Context, on bool) (control.Shortcut, error) {
	if on && d.cfg.Sealed {
		return control.Shortcut{}, errors.New("there is no short-cut in a sealed network: the kernel would send packets in the clear")
	}
	if on && d.loopback {
		return control.Shortcut{}, errors.New("there is no short-cut over the loopback interface")
	}
	r := switchRequest{on: on, done: make(chan error, 1)}
	select {
	case d.shortcuts.switching <- r:
	case <-ctx.Done():
		return control.Shortcut{}, errors.New("the daemon is busy; try again")
	case <-d.exits.ended:
		return control.Shortcut{}, errors.New("the daemon was stopped meanwhile")
	}
	if err := <-r.done; err != nil {
		return control.Shortcut{}, err
	}
	return d.view.Status().Shortcut, nil
}

// switchShortcut is Shortcut in the goroutine of Run. When it is switched off,
// no other node may send so before the programs are gone: it is told first, and
// the part keeps those that take packets for some seconds.
func (d *daemon) switchShortcut(on bool) error {
	if d.shortcuts.on.Swap(on) == on {
		return nil
	}
	d.log.Info("the short-cut in the kernel is switched", "on", on)
	p := d.planes.current()
	if p == nil {
		return nil
	}
	if on {
		d.keepShortcut(p.Lease())
	}
	if err := d.pathsChanged(); err != nil {
		return err
	}
	if !on {
		d.keepShortcut(p.Lease())
	}
	return nil
}

// shortcutSwitched reports whether a command has switched the short-cut off.
func (d *daemon) shortcutSwitched() bool {
	return d.cfg.Shortcut == config.ShortcutAuto && !d.shortcuts.on.Load()
}

// shortcutCapability is what is announced of the short-cut.
func (d *daemon) shortcutCapability() []peers.Capability {
	if d.takesShortcut() {
		return []peers.Capability{plan.AnnouncedShortcut()}
	}
	return nil
}

// shortcutDropped counts what the programs have dropped, by kind of drop.
func (d *daemon) shortcutDropped() map[string]uint64 {
	sent, received := d.parts.Shortcut.Dropped()
	return map[string]uint64{
		dataplane.DropKind("egress", route.SendFailed): sent, dataplane.DropKind("ingress", route.WriteFailed): received,
	}
}

// shortcutLeft counts what the programs have left to user space, by direction
// and reason.
func (d *daemon) shortcutLeft() map[string]uint64 {
	counts := map[string]uint64{}
	for _, l := range d.parts.Shortcut.Left() {
		if l.Packets > 0 {
			counts[l.Direction+"-"+l.Reason] += l.Packets
		}
	}
	return counts
}
