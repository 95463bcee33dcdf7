// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"slices"
	"time"

	"flanneld/internal/host/kernelpath"
	"flanneld/internal/plan"
)

const (
	// inheritTime is how long routes of an earlier start stay without a proof.
	// A path is proven within a second or two, or has failed by then.
	inheritTime = 15 * time.Second
	// withdrawTime is how long others may send by a path after it is announced
	// no more.
	withdrawTime = 5 * time.Second
)

// inheritance is what an earlier start has left of kernel paths, while it still
// counts: for inheritTime all of it, and then for withdrawTime the former
// paths. The zero value is of a host where nothing was left.
type inheritance struct {
	former    []plan.Path                // paths that the settings have no more; nil: none, or the end
	vxlan     *vxlan                     // the former device, where the settings make another one; nil: no
	withdrawn bool                       // former is taken, but not announced any more
	routes    map[netip.Prefix]plan.Path // by which path each route to a peer leads
	end       <-chan time.Time           // of the time that runs; nil: none
}

// announced is what others may send by, with a backend list.
func (h *inheritance) announced(backend []plan.Path) []plan.Path {
	if h.withdrawn {
		return backend
	}
	return slices.Concat(backend, h.former)
}

// begin starts inheritTime, unless nothing was left.
func (h *inheritance) begin(routes map[netip.Prefix]plan.Path) {
	h.routes = routes
	if len(routes)+len(h.former) > 0 {
		h.end = time.After(inheritTime)
	}
}

// carries reports whether packets to a peer go on by a former path that the
// peer takes, because datagrams would pass user space on both hosts: the peer's
// daemon may be the next that is restarted.
func (h *inheritance) carries(path plan.Path, r plan.Route) bool {
	if h.withdrawn || !slices.Contains(h.former, path) || r.InUse() != plan.PathUDP {
		return false
	}
	_, taken := r.Arrival(path)
	return taken
}

// expire ends the time that ran. It reports whether former paths, which were
// taken so far, are not any more.
func (h *inheritance) expire() (over bool) {
	h.routes, h.end = nil, nil
	switch {
	case len(h.former) == 0:
		return false
	case !h.withdrawn:
		h.withdrawn, h.end = true, time.After(withdrawTime)
		return false
	}
	h.former, h.vxlan = nil, nil
	return true
}

// remember finds out which kernel paths an earlier start took that the backend
// list has no more. They are announced, taken and used for some seconds more:
// no packet is lost that this host's kernel, or a peer that does not know yet,
// still sends by them, or that would have to wait for a peer's daemon.
//
// A VXLAN device with another port or VNI is such a path, and the one of the
// settings comes when its time is over. Where VXLAN is all that the list has,
// that would cut the peers off; then the new device comes at once.
//
// A sealed network takes none of them.
func (d *daemon) remember() {
	if d.cfg.Sealed {
		return
	}
	former, left := kernelpath.NewPart(d.cfg.Device).Former()
	for _, name := range former {
		switch p := plan.Path(name); {
		case !d.cfg.Uses(p):
			d.inherited.former = append(d.inherited.former, p)
		case p == plan.PathVXLAN && len(d.cfg.Backend) > 1:
			if v := (vxlan{left.VNI, left.Port}); v != d.vxlan() {
				d.inherited.former, d.inherited.vxlan = append(d.inherited.former, p), &v
			}
		}
	}
}

// inherit keeps the routes that an earlier start has left, until paths are
// proven or inheritTime is over: a restart is no reason to change a path.
func (d *daemon) inherit(c kernelpath.Config) {
	devices := map[string]plan.Path{}
	if c.VXLAN != nil {
		devices[c.VXLAN.Name] = plan.PathVXLAN
	}
	if c.IPIP != nil {
		devices[c.IPIP.Name] = plan.PathIPIP
	}
	if d.direct() {
		devices[c.Underlay] = plan.PathDirect
	}
	routes := map[netip.Prefix]plan.Path{}
	for prefix, device := range d.parts.Paths.Installed() {
		if path, ok := devices[device]; ok {
			routes[prefix] = path
		}
	}
	d.inherited.begin(routes)
}

// disinherit ends inheritTime, and then withdrawTime: what nothing wants any
// more goes.
func (d *daemon) disinherit() error {
	over, now := d.inherited.expire(), d.planes.current()
	if over && now != nil {
		paths := d.pathConfig(now.Lease(), now.Network())
		now.rules = d.pathRules(paths)
		d.guard.KeepPaths(now.rules, paths, d.sendersNow)
	}
	if d.inherited.withdrawn {
		d.announcePaths()
	}
	return d.route(d.node.Snapshot())
}
