// SPDX-License-Identifier: Apache-2.0

package seal

import "time"

// PeerStatus is what users see of a peer.
type PeerStatus struct {
	ID          NodeID
	Established time.Time // of the session that sends; zero: there is none
	Suite       Suite     // of that session
	Handshaking bool      // a handshake is under way
	Handshakes  uint64    // that led to a session
	Rekeys      uint64    // of these, while there was a session
	Failed      uint64    // series of attempts without an answer
	Held        int       // packets that wait for a session
	Dropped     uint64    // packets that waited in vain
}

// Status returns the state of each peer, in no order.
func (n *Node) Status(now time.Time) []PeerStatus {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]PeerStatus, 0, len(n.peers))
	for _, p := range n.peers {
		all = append(all, p.status(now))
	}
	return all
}

func (p *Peer) status(now time.Time) PeerStatus {
	st := PeerStatus{
		ID:          p.id,
		Handshaking: p.attempts > 0,
		Handshakes:  p.counts.handshakes,
		Rekeys:      p.counts.rekeys,
		Failed:      p.counts.failed,
	}
	if s := p.current.Load(); s != nil && !s.expired(now) {
		st.Established, st.Suite = s.born, s.suite
	}
	p.queueMu.Lock()
	st.Held, st.Dropped = len(p.queue.packets), p.dropped
	p.queueMu.Unlock()
	return st
}

// Rejected returns how many handshake messages were refused, by reason. The
// lanes count what Open refuses.
func (n *Node) Rejected() map[Reason]uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	counts := map[Reason]uint64{}
	for r := OK + 1; r < reasons; r++ {
		if n.rejects[r] > 0 {
			counts[r] = n.rejects[r]
		}
	}
	return counts
}
