// SPDX-License-Identifier: Apache-2.0

package metrics

import "flanneld/internal/control"

var (
	deviceUp  = gauge("device_up", "Whether the overlay device is up and right (1) or not (0).")
	deviceMTU = gauge("device_mtu_bytes", "MTU of the overlay device.")
	offload   = gauge("offload_used", "Whether an offload is in use (1) or not (0).", "offload")
	repairs   = counter("host_repairs_total", "How often other programs' changes were undone.", "part")
)

func (c *collector) collectHost(s sink, n control.Status) {
	s.putBool(deviceUp, n.Device.State == control.DeviceUp)
	s.put(deviceMTU, float64(n.Device.MTU))
	for _, o := range n.Offloads {
		s.putBool(offload, o.Used, o.Name)
	}
	for part, count := range n.Host.Repairs {
		s.put(repairs, float64(count), part)
	}
}
