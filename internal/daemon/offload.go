package daemon

import (
	"slices"

	"flanneld/encap"
	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/tun"
)

// deviceOffloads and socketOffloads are what each edge may use.
func deviceOffloads(c config.Config) tun.Offloads {
	return tun.Offloads{
		Checksum: slices.Contains(c.Offload, config.TUNChecksum),
		TCP:      slices.Contains(c.Offload, config.TUNTCP),
		UDP:      slices.Contains(c.Offload, config.TUNUDP),
	}
}

func socketOffloads(c config.Config) encap.Offloads {
	return encap.Offloads{
		Send:    slices.Contains(c.Offload, config.UDPSend),
		Receive: slices.Contains(c.Offload, config.UDPReceive),
	}
}

// offloads is what became of them. What one lane has lost counts as not used.
func (p *plane) offloads() []control.Offload {
	all := []control.Offload{}
	for _, o := range p.device.Offloads() {
		all = append(all, control.Offload(o))
	}
	for lane, socket := range p.sockets {
		for i, o := range socket.Offloads() {
			switch at := len(all) - 2 + i; {
			case lane == 0:
				all = append(all, control.Offload(o))
			case all[at].Used && !o.Used:
				all[at] = control.Offload(o)
			}
		}
	}
	return all
}
