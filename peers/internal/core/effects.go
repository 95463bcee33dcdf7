// SPDX-License-Identifier: Apache-2.0

package core

import (
	"log/slog"
	"net/netip"

	"flanneld/peers/internal/record"
)

// Effects are what the driver has to do after an input. The slices are the
// driver's to keep.
type Effects struct {
	Sends      []Send
	Broadcasts []Broadcast
	Save       *Save // to be written now; nil: nothing
	// TableChanged asks for State to be written to disk, soon but not at
	// once.
	TableChanged bool
	// Changed says that View gives something new.
	Changed bool
	Log     []LogLine
	// Fatal, when set, ends the node.
	Fatal error
}

// Send is a message to one node. Where that is no member now, it goes to At, if
// that is valid, and is dropped otherwise.
type Send struct {
	To  record.NodeID
	At  netip.AddrPort
	Msg []byte
}

// Broadcast is a message for all nodes, of at most 1,202 bytes. A newer one
// replaces an older one with the same key that was not sent yet.
type Broadcast struct {
	Key string
	Msg []byte
}

// LogLine is a transition worth logging.
type LogLine struct {
	Level slog.Level
	Text  string
	Args  []any
}

const (
	levelInfo  = slog.LevelInfo
	levelWarn  = slog.LevelWarn
	levelError = slog.LevelError
)

// Effects returns the effects since the last call.
func (c *Core) Effects() Effects {
	e := c.effects
	e.Save = c.saves.takePending()
	c.effects = Effects{}
	return e
}

func (c *Core) log(level slog.Level, text string, args ...any) {
	c.effects.Log = append(c.effects.Log, LogLine{level, text, args})
}

// send queues a message; one to ourselves is dropped.
func (c *Core) send(to record.NodeID, kind record.MessageKind, body any) {
	if to != c.id {
		var at netip.AddrPort
		if n := c.table.Nodes[to]; n != nil && !n.Rec.Left {
			at = n.Rec.Gossip()
		}
		c.effects.Sends = append(c.effects.Sends, Send{to, at, c.seal(to, kind, body)})
	}
}
