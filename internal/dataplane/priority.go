package dataplane

import "flanneld/route"

// hurry returns what the forwarder calls for a lane's thread: hurry, which
// refuses to make it a real-time thread if the setting says so.
func (s Settings) hurry() func(route.Urgency) bool {
	if s.Realtime {
		return hurry
	}
	return func(u route.Urgency) bool { return u <= route.Ordinary && hurry(u) }
}
