// SPDX-License-Identifier: Apache-2.0

package view

import (
	"strings"
	"testing"
	"time"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/dataplane"
	"flanneld/internal/plan/plantest"
	"flanneld/internal/seal"
	"flanneld/peers"
)

func TestSessionsAreSummedUpAndShownByNode(t *testing.T) {
	s := plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2), plantest.Node("c", peers.Dead, 3))
	v := newView(t, s)
	v.Config.Config.Sealed, v.Config.Config.KeyFile = true, "/k"
	now := time.Now()
	v.Sealing = func() dataplane.SealStatus {
		return dataplane.SealStatus{
			Peers: map[string]seal.PeerStatus{
				s.Nodes[1].ID.String(): {Established: now.Add(-time.Minute), Suite: seal.ChaChaPoly, Handshakes: 3, Rekeys: 2},
				s.Nodes[2].ID.String(): {Handshaking: true, Failed: 1, Held: 5, Dropped: 7},
			},
			Rejected: map[seal.Reason]uint64{seal.Stale: 4},
		}
	}
	got := v.Status().Security
	want := control.Sealing{Sessions: 1, Handshakes: 3, Rekeys: 2, Failed: 1, Waiting: 5, Dropped: 7}
	if got.Sealing.Rejected["stale"] != 4 || len(got.Sealing.Rejected) != 1 {
		t.Errorf("rejected %v", got.Sealing.Rejected)
	}
	got.Sealing.Rejected = nil
	if !got.DataSealed || got.KeyFile != "/k" || got.Sealing.Sessions != want.Sessions || got.Sealing.Handshakes != want.Handshakes ||
		got.Sealing.Rekeys != want.Rekeys || got.Sealing.Failed != want.Failed || got.Sealing.Waiting != want.Waiting || got.Sealing.Dropped != want.Dropped {
		t.Errorf("%+v, want %+v", got, want)
	}
	nodes := v.Nodes().Nodes
	if one := nodes[1].Sealed; one.State != control.SealSession || one.Suite != "chacha20-poly1305" || one.Since < 59 || one.Since > 90 {
		t.Errorf("%+v", one)
	}
	if one := nodes[2].Sealed; one.State != control.SealHandshaking || one.Suite != "" || one.Waiting != 5 {
		t.Errorf("%+v", one)
	}
	if self := nodes[0].Sealed; self.State != control.SealNone {
		t.Errorf("this node itself: %+v", self)
	}
}

func TestEachModeHasItsNote(t *testing.T) {
	open, key, data := securityOf(config.Config{}, false), securityOf(config.Config{KeyFile: "/k"}, true), securityOf(config.Config{KeyFile: "/k", Sealed: true}, true)
	if !strings.Contains(key.Note, "in the clear") || strings.Contains(data.Note, "in the clear") || open.Note == key.Note {
		t.Errorf("%q, %q, %q", open.Note, key.Note, data.Note)
	}
}
