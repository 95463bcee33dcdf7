// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"net/netip"
	"time"

	"flanneld/peers/internal/gossip"
)

// findDuplicate looks for a duplicate before this node has announced anything
// but that it looks. It asks where its last start was, if that is not where it
// is now, and asks the nodes it knows. A node that starts for the first time
// has no duplicate.
func (e *engine) findDuplicate(ctx context.Context, start uint64, at netip.AddrPort) error {
	g := e.gossip
	if start == 0 {
		return nil
	}
	e.joiner.SetLost(e.endpointsKnown())
	moved := at.IsValid() && at != g.Endpoint()
	switch {
	case moved && g.Answers(at):
		return duplicateFailure(at)
	case moved: // the node that is there now may know of a later start
		e.joiner.Look(ctx, at)
	default:
		e.joiner.Look(ctx)
	}
	for {
		select {
		case s := <-g.Duplicates():
			if s.Start == start && s.Endpoint == at {
				continue // it has been asked
			}
			if g.Answers(s.Endpoint) { // and we are the newcomer: no node has heard of us yet
				return duplicateFailure(s.Endpoint)
			}
		case s := <-g.States(): // it is asked for again when there is something to say
			g.TakeState(s)
		default:
			if moved {
				e.former = &former{gossip.Duplicate{Endpoint: at, Start: start}, time.Now().Add(gossip.SettleTime)}
			}
			return nil
		}
	}
}

// former is where the last start of this node was, when it did not answer from
// there.
type former struct {
	gossip.Duplicate
	until time.Time // of the search
}

// seeksFormer asks again whether the last start is alive: a busy host, or a
// network that has just come up, answers late. It reports whether the search
// goes on.
func (e *engine) seeksFormer() bool {
	if e.former == nil || !time.Now().Before(e.former.until) {
		return false
	}
	e.gossip.Suspect(e.former.Duplicate)
	return true
}

// endpointsKnown returns where the gossip of the other nodes in the table was,
// without nodes that have left.
func (e *engine) endpointsKnown() []netip.AddrPort {
	var at []netip.AddrPort
	for _, n := range e.core.View().Nodes {
		if !n.Self && n.State != Left {
			at = append(at, n.Gossip)
		}
	}
	return at
}

// meetDuplicate decides what to do about another live node with this identity.
func (e *engine) meetDuplicate(s gossip.Duplicate) error {
	if e.gossip.MustStop(e.core.StartNumber(), s) {
		return duplicateFailure(s.Endpoint)
	}
	if e.gossip.NoticeDue("duplicate "+s.Endpoint.String(), time.Now()) {
		e.log.Error("another node has this node's identity (a cloned disk, or a restored backup): stop it, and empty its state directory before it starts again",
			"at", s.Endpoint)
	}
	return nil
}

func duplicateFailure(at netip.AddrPort) error {
	return failure(ErrDuplicateIdentity, "the node at %s has this node's identity (a cloned disk, or a restored backup) and is alive: stop that one; or, to make this host a node of its own, empty its state directory and start again", at)
}
