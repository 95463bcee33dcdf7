// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"flanneld/internal/control"
)

// sessionsText sums up the sessions of a sealed network.
func sessionsText(s control.Sealing) string {
	text := fmt.Sprintf("%d, by %d handshakes, %d for a new key", s.Sessions, s.Handshakes, s.Rekeys)
	if s.Failed > 0 {
		text += fmt.Sprintf("; %d not answered", s.Failed)
	}
	if s.Waiting+int(s.Dropped) > 0 {
		text += fmt.Sprintf("; packets that wait for one: %d, that waited in vain: %d", s.Waiting, s.Dropped)
	}
	if len(s.Rejected) > 0 {
		text += "; handshakes refused: " + dropsText(s.Rejected)
	}
	return text
}

// sealedCell is the session with a node, in the node table.
func sealedCell(s control.NodeSealing) string {
	switch s.State {
	case control.SealNone:
		return "-"
	case control.SealSession:
		return fmt.Sprintf("%s %s", s.Suite, since(s.Since))
	}
	return s.State
}
