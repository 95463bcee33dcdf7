// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"time"

	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

// Messages are the core's messages that have come in, each in its frame. Each
// is to be handed to [Agent.Open].
func (g *Agent) Messages() <-chan []byte { return g.messages }

// Open takes what was received from [Agent.Messages] out of its frame. It
// returns an error where the frame names another sender than the message.
// Where the sender is no member, [Agent.Send] can answer it from then on.
func (g *Agent) Open(b []byte) (msg []byte, err error) {
	g.messageRoom.give(len(b))
	f, err := wire.ParseFrame(b)
	if err == nil && f.From != record.Sender(f.Message) {
		err = wire.ErrFrame
	}
	if err != nil {
		return nil, err
	}
	if _, known := g.members.of(f.From); !known && !f.From.IsZero() {
		g.paths.learn(f, time.Now())
	}
	return f.Message, nil
}

// States are other nodes' states that have come in. Each is to be handed to
// [Agent.TakeState].
func (g *Agent) States() <-chan wire.State { return g.states }

// TakeState notes that a state was received from [Agent.States]: there is room
// for others.
func (g *Agent) TakeState(s wire.State) { g.stateRoom.give(s.Size) }

// NotTaken is how many messages, datagrams and streams were not taken in.
func (g *Agent) NotTaken() uint64 {
	return g.dropped.Load() + g.limited.Load() + g.refused.Load() + g.transport.overLimit()
}
