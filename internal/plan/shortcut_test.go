// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"strings"
	"testing"

	"flanneld/internal/plan/plantest"
	"flanneld/peers"
)

// shortcutting makes a node that announces the short-cut, too.
func shortcutting(n peers.NodeInfo) peers.NodeInfo {
	n.Caps = append(slices.Clone(n.Caps), AnnouncedShortcut())
	return n
}

func TestTheShortcutIsUsedBetweenNodesThatHaveItAndHaveProvenIt(t *testing.T) {
	here := func() string { return "" }
	b := taking(plantest.Node("b", peers.Alive, 2), PathVXLAN, PathUDP)
	both := shortcutting(b)
	older := with(b, func(n *peers.NodeInfo) {
		n.Caps = append(n.Caps, peers.Capability{Number: capShortcut, Param: []byte{0}}, peers.Capability{Number: capShortcut, Param: []byte{9}})
	})
	for _, c := range []struct {
		name     string
		n        peers.NodeInfo
		backend  []Path
		change   func(*Input)
		possible bool
		used     bool
		why      string
	}{
		{"both have it", both, nil, nil, true, true, ""},
		{"a later version", with(b, func(n *peers.NodeInfo) {
			n.Caps = append(n.Caps, peers.Capability{Number: capShortcut, Param: []byte{9, 1}})
		}), nil, nil, true, true, ""},
		{"not proven yet", both, nil, func(in *Input) { in.Proof = nil }, true, false, "unproven"},
		{"being tried", both, nil, func(in *Input) { in.Proof = proofs(map[Path]Proof{PathShortcut: {Why: "is being tried"}}) }, true, false, "is being tried"},
		{"failed", both, nil, func(in *Input) {
			in.Proof = proofs(map[Path]Proof{PathShortcut: {State: Failed, Why: "probes are not answered"}})
		}, true, false, "probes are not answered"},
		{"off", both, nil, func(in *Input) { in.Shortcut = nil }, false, false, "off (--shortcut)"},
		{"switched off", both, nil, func(in *Input) { in.Shortcut, in.Switched = nil, true }, false, false, "off (flanneld shortcut off)"},
		{"sealed", both, nil, func(in *Input) { in.Sealed = true }, false, false, "off (--sealed)"},
		{"not on this host", both, nil, func(in *Input) { in.Shortcut = func() string { return "no CAP_BPF" } }, false, false, "not available on this host: no CAP_BPF"},
		{"not at the peer", b, nil, nil, false, false, "the node does not take it"},
		{"no version, and the first capability counts", older, nil, nil, false, false, "the node does not take it"},
		{"no parameter", with(b, func(n *peers.NodeInfo) { n.Caps = append(n.Caps, peers.Capability{Number: capShortcut}) }), nil, nil, false, false, "the node does not take it"},
		{"loopback", both, nil, func(in *Input) { in.Loopback = true }, false, false, "the underlay is the loopback interface"},
		{"on this host", with(both, endpoint("192.0.2.1:9")), nil, nil, false, false, "the peer is on this host"},
		{"by another path", both, []Path{PathVXLAN, PathUDP}, nil, true, false, "proven"},
		{"the peer takes no udp", shortcutting(taking(plantest.Node("b", peers.Alive, 2), PathVXLAN)), []Path{PathVXLAN, PathUDP}, nil, false, false, ""},
		{"not of this node's list", both, []Path{PathVXLAN}, nil, false, false, ""},
		{"dead", shortcutting(taking(plantest.Node("b", peers.Dead, 2), PathUDP)), nil, nil, false, false, ""},
		{"dead, but not met yet", shortcutting(taking(plantest.Node("b", peers.Dead, 2), PathUDP)), nil, func(in *Input) {
			in.Unseen = func(peers.NodeID) bool { return true }
		}, true, true, ""},
	} {
		r := routeTo(t, c.n, func(in *Input) {
			in.Backend, in.Shortcut = c.backend, here
			in.Proof = proofs(map[Path]Proof{PathVXLAN: {State: Proven}, PathShortcut: {State: Proven}})
			if c.change != nil {
				c.change(in)
			}
		})
		if s := r.Shortcut(); s.Possible != c.possible || s.Used != c.used || s.Why != c.why {
			t.Errorf("%s: %+v", c.name, s)
		}
		if c.used && r.Path != PathUDP {
			t.Errorf("%s: used, and the path is %q", c.name, r.Path)
		}
	}
}

func TestAStaticPeerHasNoShortcut(t *testing.T) {
	in := Input{
		Snapshot: plantest.Snapshot(peers.Confirmed), Static: plantest.StaticPeers(t, "10.244.7.0/24=192.0.2.7:8285"),
		Shortcut: func() string { return "" }, Proof: proofs(map[Path]Proof{PathShortcut: {State: Proven}}),
	}
	for _, r := range Make(in).Routes {
		if s := r.Shortcut(); r.Node.IsZero() && (s.Possible || s.Used || !strings.Contains(s.Why, "static peer")) {
			t.Errorf("%s: %+v", r.Prefix, s)
		}
	}
}

// The short-cut stands before the user path as a way of its own, and packets
// take one of the two. A way is no change of the route's candidates.
func TestTheShortcutIsAWayOfItsOwn(t *testing.T) {
	both := shortcutting(taking(plantest.Node("b", peers.Alive, 2), PathVXLAN, PathUDP))
	for _, c := range []struct {
		name    string
		backend []Path
		off     bool
		proof   ProofState
		want    []Path
		inUse   Path
		used    bool // of the user path
	}{
		{"proven", []Path{PathVXLAN, PathUDP}, false, Proven, []Path{PathVXLAN, PathShortcut, PathUDP}, PathShortcut, false},
		{"not proven", []Path{PathUDP}, false, Unproven, []Path{PathShortcut, PathUDP}, PathUDP, true},
		{"switched off", []Path{PathUDP}, true, Proven, []Path{PathUDP}, PathUDP, true},
		{"no user path", []Path{PathVXLAN}, false, Unproven, []Path{PathVXLAN}, PathVXLAN, false},
	} {
		r := routeTo(t, both, func(in *Input) {
			in.Backend, in.Proof = c.backend, proofs(map[Path]Proof{PathShortcut: {State: c.proof}})
			if !c.off {
				in.Shortcut = func() string { return "" }
			}
		})
		before := slices.Clone(r.Candidates)
		var got, used []Path
		for _, way := range r.Ways() {
			got = append(got, way.Path)
			if way.Used {
				used = append(used, way.Path)
			}
		}
		if !slices.Equal(got, c.want) || r.InUse() != c.inUse {
			t.Errorf("%s: ways %q, %q in use; want %q, %q", c.name, got, r.InUse(), c.want, c.inUse)
		}
		if slices.Contains(used, PathUDP) != c.used || !slices.Equal(used, []Path{c.inUse}) {
			t.Errorf("%s: %q are used", c.name, used)
		}
		if !slices.EqualFunc(before, r.Candidates, func(a, b Candidate) bool { return a.Path == b.Path && a.Used == b.Used && a.Shortcut == b.Shortcut }) {
			t.Errorf("%s: the candidates have changed: %+v", c.name, r.Candidates)
		}
	}
}
