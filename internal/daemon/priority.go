package daemon

import (
	"flanneld/internal/config"
	"flanneld/route"
)

// hurry is what the forwarder calls for a lane's thread: hurry, which refuses
// to make it a real-time one if the setting says so.
func (d *daemon) hurry() func(route.Urgency) bool {
	if d.cfg.Realtime != config.RealtimeOff {
		return hurry
	}
	return func(u route.Urgency) bool { return u <= route.Ordinary && hurry(u) }
}
