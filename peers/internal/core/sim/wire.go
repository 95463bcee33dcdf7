// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"errors"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/record"
)

// maxFrame is what goes in one datagram; anything longer goes by stream.
const maxFrame = 1232

// send carries a message to a node where gossip says it is, or, where gossip
// knows nothing, to where it wrote from.
func (h *Host) send(to record.NodeID, msg []byte) {
	place, ok := h.swim.placeOf(to)
	if !ok || !h.up {
		return
	}
	h.World.trace.message(h.World, h, to, "sends", msg)
	if other := h.World.at(place); h.World.OnSend != nil && other != nil && other.ID == to {
		h.World.OnSend(h, other, msg)
	}
	for _, l := range h.World.liars {
		if other := h.World.at(place); other != nil && other.ID == to {
			l.hears(other, msg)
		}
	}
	from, at := h.ID, h.place
	receive := func(other *Host) {
		if other.ID == to { // the frame names the receiver
			other.receive(from, at, msg)
		}
	}
	if len(msg) <= maxFrame {
		h.datagram(place, len(msg)+64, receive)
	} else {
		h.stream(place, len(msg)+512, receive)
	}
}

func (h *Host) receive(from record.NodeID, at int, msg []byte) {
	h.World.trace.mix(uint64(h.World.Now), uint64(h.Index), uint64(crc(msg)))
	if at != 0 {
		h.swim.wrote(from, at)
	}
	msg = h.World.damage.message(h, msg)
	if msg != nil {
		msg = h.lies(msg)
	}
	if msg == nil {
		return
	}
	h.World.trace.message(h.World, h, from, "gets", msg)
	h.Do(func(now core.Time) {
		if err := h.Core.Receive(now, msg); err != nil && !errors.Is(err, core.ErrNoNetwork) {
			h.World.breaks("decoding", "%s refuses a message from %s: %v", h.Config.Name, from.Short(), err)
		}
	})
	h.World.damage.after(h)
}

// merge takes in another node's state, as it comes with a join.
func (h *Host) merge(from record.NodeID, state []byte) {
	if len(state) == 0 || from == h.ID {
		return
	}
	h.Do(func(now core.Time) {
		switch err := h.Core.Merge(now, from, state); {
		case errors.Is(err, record.ErrOtherNetwork):
			h.World.breaks("3", "%s is in another network than %s", h.Config.Name, from.Short())
		case errors.Is(err, core.ErrNetworkParameters):
			h.fail(err)
		case err != nil:
			h.World.breaks("decoding", "%s refuses the state of %s: %v", h.Config.Name, from.Short(), err)
		default:
			h.Core.Joined(now)
			if !h.met {
				h.met = true
				h.Core.Tick(now)
			}
		}
	})
	h.World.damage.after(h)
}
