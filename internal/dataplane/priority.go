// SPDX-License-Identifier: Apache-2.0

package dataplane

import "flanneld/route"

// setPriority returns what the forwarder calls for a lane's thread. It refuses
// to make that a real-time thread if the setting says so.
func (s Settings) setPriority() func(route.Priority) bool {
	if s.Realtime {
		return setPriority
	}
	return func(p route.Priority) bool { return p <= route.PriorityNormal && setPriority(p) }
}
