// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"slices"

	"flanneld/internal/config"
	"flanneld/internal/plan"
)

// vxlan is a VXLAN device of this host.
type vxlan struct {
	vni  uint32
	port uint16 // UDP
}

func (v vxlan) device() string { return config.VXLANDevice(v.vni) }

// vxlan is the device for now: a former one, or that of the settings.
func (d *daemon) vxlan() vxlan {
	if former := d.inherited.vxlan; former != nil {
		return *former
	}
	return vxlan{d.cfg.VNI, d.cfg.VXLANPort}
}

// backend is the backend list, without VXLAN while a former device has its
// place.
func (d *daemon) backend() []plan.Path {
	if d.inherited.vxlan == nil {
		return d.cfg.Backend
	}
	return slices.DeleteFunc(slices.Clone(d.cfg.Backend), func(p plan.Path) bool { return p == plan.PathVXLAN })
}

// overlayDevices names the tunnels' devices that overlay packets may pass by
// until the next start.
func (d *daemon) overlayDevices(now []string) []string {
	if own := config.VXLANDevice(d.cfg.VNI); d.cfg.Uses(plan.PathVXLAN) && !slices.Contains(now, own) {
		return append(now, own)
	}
	return now
}
