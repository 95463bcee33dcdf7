// SPDX-License-Identifier: Apache-2.0

package view

import (
	"time"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/dataplane"
	"flanneld/internal/seal"
)

// Notes on what is protected in a network, and what is not.
const (
	noteOpen = "any root process on a member host can send packets in that host's name, and any host of the underlay can read them and join; for a trusted network"
	noteKey  = "gossip needs the cluster key; packets travel in the clear, and any root process on a member host can send some in that host's name; for a trusted network"
	noteData = "packets are encrypted from host to host; hosts with the cluster key can join"
)

// securityOf says what is sealed by what the user has set.
func securityOf(c config.Config, gossip bool) control.Security {
	out := control.Security{
		GossipSealed: gossip, DataSealed: c.Sealed, KeyFile: c.KeyFile, Note: noteOpen, Sealing: control.Sealing{Rejected: map[string]uint64{}},
	}
	switch {
	case c.Sealed:
		out.Note = noteData
	case gossip:
		out.Note = noteKey
	}
	return out
}

// sealing is what the sessions are doing; empty without any.
func (v *View) sealing() dataplane.SealStatus {
	if v.Sealing == nil {
		return dataplane.SealStatus{}
	}
	return v.Sealing()
}

func sumOf(s dataplane.SealStatus) control.Sealing {
	sum := control.Sealing{Rejected: map[string]uint64{}}
	for _, p := range s.Peers {
		if !p.Established.IsZero() {
			sum.Sessions++
		}
		sum.Handshakes += p.Handshakes
		sum.Rekeys += p.Rekeys
		sum.Failed += p.Failed
		sum.Waiting += p.Held
		sum.Dropped += p.Dropped
	}
	for reason, n := range s.Rejected {
		sum.Rejected[reason.String()] = n
	}
	return sum
}

// nodeSealing is the session with a node.
func nodeSealing(p seal.PeerStatus, now time.Time) control.NodeSealing {
	out := control.NodeSealing{
		State: control.SealMissing, Handshakes: p.Handshakes, Rekeys: p.Rekeys, Failed: p.Failed, Waiting: p.Held, Dropped: p.Dropped,
	}
	switch {
	case !p.Established.IsZero():
		out.State, out.Suite, out.Since = control.SealSession, p.Suite.String(), control.SecondsOf(now.Sub(p.Established))
	case p.Handshaking:
		out.State = control.SealHandshaking
	}
	return out
}
