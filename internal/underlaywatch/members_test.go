// SPDX-License-Identifier: Apache-2.0

package underlaywatch

import (
	"testing"
	"time"

	"flanneld/internal/plan/plantest"
	"flanneld/peers"
)

func TestSilenceIsNoMemberAliveForAWhile(t *testing.T) {
	var a members
	now := time.Unix(1000, 0)
	hear := func(s *peers.Snapshot, after time.Duration) bool {
		now = now.Add(after)
		a.count(s, now)
		return a.silent(now)
	}
	alone := plantest.Snapshot(peers.Confirmed)
	for name, s := range map[string]*peers.Snapshot{"alone": alone, "others have left": plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Left, 2))} {
		if hear(s, 0) || hear(s, time.Minute) || a.any {
			t.Errorf("%s: silent %t, members %t", name, a.silent(now), a.any)
		}
	}
	dead := plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Dead, 2), plantest.Node("c", peers.Suspect, 3))
	if hear(dead, 0) || hear(dead, silentAfter-1) {
		t.Error("silent at once")
	}
	if !hear(dead, 1) || len(a.where) != 2 {
		t.Errorf("not silent after %v, members at %v", silentAfter, a.where)
	}
	if hear(plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Dead, 2), plantest.Node("c", peers.Alive, 3)), time.Second) {
		t.Error("silent with a member alive")
	}
	joining := &peers.Snapshot{View: peers.View{Lease: peers.Joining}}
	if hear(joining, 0) || !hear(joining, silentAfter) {
		t.Error("seeds that do not answer are no silence")
	}
}
