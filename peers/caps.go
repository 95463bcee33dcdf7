// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"bytes"
	"context"
	"slices"
)

// SetCaps announces other capabilities in this node's record, with the limits
// of [Config]. Lease, identity and number of starts stay as they are. The same
// ones again announce nothing. On error nothing changes.
func (n *Node) SetCaps(caps []Capability) error {
	e := n.engine.Load()
	if e == nil {
		return notRunning()
	}
	caps = cloneCaps(caps)
	return n.do(context.Background(), e, func() error {
		if slices.EqualFunc(caps, e.cfg.Caps, equalCaps) {
			return nil
		}
		if err := e.core.SetCaps(e.now(), caps); err != nil {
			return failure(ErrConfig, "announce: %v", err)
		}
		e.cfg.Caps = caps
		return nil
	})
}

func equalCaps(a, b Capability) bool { return a.Number == b.Number && bytes.Equal(a.Param, b.Param) }

// cloneCaps copies a list with its parameters, which belong to the caller.
func cloneCaps(caps []Capability) []Capability {
	own := slices.Clone(caps)
	for i := range own {
		own[i].Param = bytes.Clone(own[i].Param)
	}
	return own
}
