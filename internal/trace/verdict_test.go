// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"net/netip"
	"strings"
	"testing"

	"flanneld/internal/packet"
)

func TestARefusalIsExplainedByWhereItComesFrom(t *testing.T) {
	unreachable := func(from netip.Addr, code byte) Answer {
		return Answer{TTL: Reached, From: from, Kind: packet.ICMPUnreachable, Code: code}
	}
	nowhere := ground()
	nowhere.Node, nowhere.Name, nowhere.Path = "", "", ""
	dead := ground()
	dead.Path, dead.Reason = "", "the node holds the lease and is dead"
	for name, c := range map[string]struct {
		ground  Ground
		answer  Answer
		arrived bool
		words   string // in the verdict and the advice
	}{
		"rejected here":     {ground(), unreachable(gateway, 3), false, "a rule of this host rejects it|code 3|between docker0 and flannel0"},
		"no route here":     {ground(), unreachable(gateway, 0), false, "this host has no route to 10.244.9.2|ip route get"},
		"no such subnet":    {nowhere, unreachable(overlay, 0), false, "no node holds a subnet with 10.244.9.2|flanneld nodes"},
		"dead node":         {dead, unreachable(overlay, 1), false, "does not reach beta|holds the lease and is dead|flanneld nodes"},
		"no container":      {ground(), unreachable(there, 1), false, "reached beta|nothing there has the address|on beta: docker ps"},
		"no bridge there":   {ground(), unreachable(there, 0), false, "beta (daqidas2) has no route|on beta: restart"},
		"rejected there":    {ground(), unreachable(there, 13), false, "a rule of beta (daqidas2) rejects it|code 13|on beta: nft"},
		"container refuses": {ground(), unreachable(remote, 3), true, "arrived: 10.244.9.2 does not take pings"},
	} {
		s := c.ground.Tell(Result{From: first, Answers: []Answer{c.answer, {TTL: 1, From: gateway, Kind: packet.ICMPTimeExceeded}}})
		if s.Arrived != c.arrived {
			t.Errorf("%s: %+v", name, s)
		}
		for word := range strings.SplitSeq(c.words, "|") {
			if !strings.Contains(s.Verdict+"|"+s.Advice, word) {
				t.Errorf("%s: no %q in %s (%s)", name, word, s.Verdict, s.Advice)
			}
		}
	}
}

// A packet by a kernel path does not pass flanneld. It is no station then.
func TestAKernelPathHasNoStationOfFlanneld(t *testing.T) {
	g := ground()
	g.Path = "vxlan"
	s := g.Tell(Result{From: first, Answers: []Answer{{TTL: 2, From: there, Kind: packet.ICMPTimeExceeded}, {TTL: 1, From: gateway, Kind: packet.ICMPTimeExceeded}}})
	if s.Last != Peer || len(s.Stations) != 4 || !strings.Contains(s.Verdict, "lost on beta") {
		t.Errorf("%+v", s)
	}
	s = g.Tell(Result{From: first, Answers: []Answer{{TTL: 1, From: gateway, Kind: packet.ICMPTimeExceeded}}})
	if s.Last != Kernel || !strings.Contains(s.Verdict, "the path by vxlan") || !strings.HasPrefix(s.Advice, "flanneld ping beta;") {
		t.Errorf("%+v", s)
	}
}
