// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"flanneld/internal/host/fib"
	"flanneld/internal/plan/plantest"
	"flanneld/peers"
)

// On a host where nothing has changed the kernel is asked once.
func TestSameListsHaveTheSameAnswers(t *testing.T) {
	changed := 0
	s := &surveyor{
		log: slog.New(slog.DiscardHandler), network: netip.MustParsePrefix("203.0.113.0/24"), lease: netip.MustParsePrefix("203.0.113.0/28"),
		device: "flannel-none", changed: func() { changed++ },
	}
	s.look()
	first := s.current()
	for _, d := range first { // whatever this host has: the device is not there
		if d.Device == "flannel-none" || !d.Prefix.Overlaps(s.network) {
			t.Errorf("got %+v", d)
		}
	}
	s.look()
	if s.trouble != "" || changed != 1 || s.seen == "" {
		t.Errorf("changed %d times, trouble %q, seen %q", changed, s.trouble, s.seen)
	}
	s.seen = "another reading"
	if s.look(); changed != 2 || len(s.current()) != len(first) {
		t.Errorf("after a change it changed %d times: %+v", changed, s.current())
	}
}

// A node that the table does not name is named as the plan does, and each cut
// is noted for each origin.
func TestDetoursAreNotedByNode(t *testing.T) {
	var log bytes.Buffer
	st := newStage(t, plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2), plantest.Node("c", peers.Alive, 3)))
	st.cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	st.surveyor.detours = []fib.Detour{
		{Prefix: netip.MustParsePrefix("10.244.2.0/24"), From: []fib.Origin{{}}, Answer: fib.Answer{Text: "no route"}},
		{Prefix: netip.MustParsePrefix("10.244.2.128/25"), From: []fib.Origin{{Device: "docker0"}}, Answer: fib.Answer{Device: "eth1", Text: "dev eth1"}},
		{Prefix: netip.MustParsePrefix("10.244.1.0/24"), From: []fib.Origin{{}}, Answer: fib.Answer{Device: "eth1", Text: "dev eth1"}}, // our own
	}
	notes := st.Detours()
	if len(notes) != 1 || len(notes[plantest.Key("b")]) != 2 || !strings.HasPrefix(notes[plantest.Key("b")][1], "packets of docker0 to 10.244.2.128/25") {
		t.Errorf("notes %v", notes)
	}
	st.current = &peers.Snapshot{} // the node table has been lost since
	st.reportDetours()
	if all := st.board.All(); len(all) != 2 || !strings.HasSuffix(all[0].Text, "cuts off host-b") {
		t.Errorf("problems %+v", all)
	}
}
