// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"

	"flanneld/internal/plan/plantest"
	"flanneld/peers"
	"flanneld/route"
)

// After a restart the table on disk is all there is, until gossip has reached
// the first node, and a little longer.
func TestNodesOnDiskAreRoutedUntilGossipKnowsBetter(t *testing.T) {
	var seen Seen
	b, c := plantest.Node("b", peers.Dead, 2), plantest.Node("c", peers.Dead, 3)
	for _, step := range []struct {
		name    string
		b       peers.State
		closed  bool
		begins  bool
		wantB   route.Kind
		wantC   route.Kind
		unseenB bool
	}{
		{"no node was seen", peers.Dead, false, false, route.Via, route.Via, true},
		{"one was seen", peers.Alive, false, true, route.Via, route.Via, false},
		{"it died, the other was not seen yet", peers.Dead, false, false, route.Unreachable, route.Via, false},
		{"it is suspect", peers.Suspect, false, false, route.Via, route.Via, false},
		{"the time is over", peers.Dead, true, false, route.Unreachable, route.Unreachable, false},
	} {
		b.State = step.b
		s := plantest.Snapshot(peers.Confirmed, b, c)
		if step.closed {
			seen.Close()
		}
		if begins := seen.Add(s); begins != step.begins {
			t.Errorf("%s: the time begins: %t", step.name, begins)
		}
		p := Make(Input{Snapshot: s, Unseen: seen.Unseen})
		if p.Routes[1].Kind != step.wantB || p.Routes[2].Kind != step.wantC {
			t.Errorf("%s: %v", step.name, brief(p))
		}
		if seen.Unseen(plantest.ID("b")) != step.unseenB {
			t.Errorf("%s: unseen is %t", step.name, !step.unseenB)
		}
		if note, noted := p.Notes[plantest.Key("c")]; noted != !step.closed || noted && (note.Text != FromDisk || !note.Expected) {
			t.Errorf("%s: notes %v", step.name, p.Notes)
		}
	}
}

func TestThisNodeAndTheDeadAreNotSeen(t *testing.T) {
	var seen Seen
	if seen.Add(plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Dead, 2), plantest.Node("c", peers.Left, 3))) {
		t.Error("the time to see others runs before one was seen")
	}
	if !seen.Unseen(plantest.ID("a")) || !seen.Unseen(plantest.ID("b")) || !seen.Unseen(plantest.ID("c")) {
		t.Error("seen without a sign of life")
	}
}
