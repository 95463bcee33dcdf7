// SPDX-License-Identifier: Apache-2.0

package metrics

import "flanneld/internal/control"

// What a sealed network does beside packets. In any other network these are
// left out, but for the first.
var (
	dataSealed     = gauge("data_sealed", "Whether packets are encrypted from host to host (1) or not (0).")
	sealSessions   = gauge("seal_sessions", "Peers with a session.")
	sealHandshakes = counter("seal_handshakes_total", "Handshakes that led to a session.")
	sealRekeys     = counter("seal_rekeys_total", "Handshakes that replaced a session.")
	sealFailed     = counter("seal_handshakes_failed_total", "Series of attempts without an answer.")
	sealWaiting    = gauge("seal_waiting_packets", "Packets that wait for a session.")
	sealRoamed     = gauge("seal_roamed_peers", "Peers that are reached at another endpoint than their record's.")
	sealRoams      = counter("seal_roams_total", "Moves of peers to other endpoints, or back, before gossip told.")
	sealRejected   = counter("seal_handshakes_rejected_total", "Messages of handshakes that were refused.", "reason")
)

func (c *collector) collectSealing(s sink, n control.Status) {
	s.putBool(dataSealed, n.Security.DataSealed)
	if !n.Security.DataSealed {
		return
	}
	sealing := n.Security.Sealing
	s.put(sealSessions, float64(sealing.Sessions))
	s.put(sealHandshakes, float64(sealing.Handshakes))
	s.put(sealRekeys, float64(sealing.Rekeys))
	s.put(sealFailed, float64(sealing.Failed))
	s.put(sealWaiting, float64(sealing.Waiting))
	s.put(sealRoamed, float64(sealing.Roamed))
	s.put(sealRoams, float64(sealing.Roams))
	for reason, count := range sealing.Rejected {
		s.put(sealRejected, float64(count), reason)
	}
}
