// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"errors"
	"testing"
)

// seesCaps waits until another node announces exactly one capability, with this
// parameter.
func (h *host) seesCaps(other *host, param byte) NodeInfo {
	h.t.Helper()
	id := other.node.Snapshot().Self.ID
	var found NodeInfo
	h.until("its capability is seen", func(s *Snapshot) bool {
		found = s.NodesByID()[id]
		return len(found.Caps) == 1 && found.Caps[0].Number == 3 && found.Caps[0].Param[0] == param
	})
	return found
}

// What a node can do may change while it runs. That is no new start.
func TestCapabilitiesAreAnnouncedAnew(t *testing.T) {
	t.Parallel()
	first, _ := founderHost(t)
	second, lease := joinedHost(t, first)
	param := []byte{1}
	for round := range byte(3) {
		param[0] = round
		if err := second.node.SetCaps([]Capability{{Number: 3, Param: param}}); err != nil {
			t.Fatal(err)
		}
		param[0] = 99 // is the caller's
		for _, h := range []*host{first, second} {
			if n := h.seesCaps(second, round); n.Start != 1 || n.State != Alive || n.Lease.Prefix != lease {
				t.Errorf("after round %d: %+v", round, n)
			}
		}
	}
	if err := second.node.SetCaps(make([]Capability, 17)); !errors.Is(err, ErrConfig) {
		t.Errorf("17 capabilities: %v", err)
	}
	if err := second.node.SetCaps([]Capability{{Number: 3, Param: []byte{2}}}); err != nil {
		t.Errorf("the same again: %v", err)
	}
	first.seesCaps(second, 2)
	second.stop()
	if err := second.node.SetCaps(nil); !errors.Is(err, ErrNotRunning) {
		t.Errorf("after the end: %v", err)
	}
}
