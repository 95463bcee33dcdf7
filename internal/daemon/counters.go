package daemon

import (
	"flanneld/internal/control"
	"flanneld/route"
)

// totals adds up what forwarders did, one after the other.
type totals struct {
	egress, ingress control.Traffic
	drops           map[string]uint64
}

// add counts one forwarder's work in. Drops are named by direction and reason.
func (t *totals) add(c route.Counters) {
	if t.drops == nil {
		t.drops = map[string]uint64{}
	}
	addVolume(&t.egress, c.Egress.Volume)
	addVolume(&t.ingress, c.Ingress.Volume)
	for direction, drops := range map[string][]route.Drop{"egress": c.Egress.Drops, "ingress": c.Ingress.Drops} {
		for _, drop := range drops {
			if drop.Packets > 0 {
				t.drops[direction+"-"+drop.Reason.String()] += drop.Packets
			}
		}
	}
}

// with returns the sum without changing t.
func (t *totals) with(c route.Counters) totals {
	sum := totals{egress: t.egress, ingress: t.ingress, drops: map[string]uint64{}}
	for name, n := range t.drops {
		sum.drops[name] = n
	}
	sum.add(c)
	return sum
}

func addVolume(t *control.Traffic, v route.Volume) {
	t.Packets += v.Packets
	t.Bytes += v.Bytes
}

func trafficOf(v route.Volume) control.Traffic {
	return control.Traffic{Packets: v.Packets, Bytes: v.Bytes}
}
