// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"crypto/subtle"
	"errors"
	"slices"
)

// SetStart raises the start number. This node's record has a higher one after a
// move to another address, and where the state directory was restored from an
// older copy. Peers that remember the higher number refuse handshakes with a
// lower one.
func (n *Node) SetStart(start uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.start = max(n.start, start)
}

// SetCluster changes the cluster keys. Handshakes begin with the first one. All
// are accepted, so that nodes can change their keys one after the other. A
// session that was made with a key that is gone asks for the next handshake
// with its next packet.
func (n *Node) SetCluster(keys ...[]byte) error {
	if len(keys) == 0 {
		return errors.New("seal: no cluster key")
	}
	defer n.wake()
	n.mu.Lock()
	defer n.mu.Unlock()
	old := n.keys
	n.keys = nil
	for _, key := range keys {
		n.keys = append(n.keys, n.sameOrNew(old, key))
	}
	for _, key := range old {
		if !slices.Contains(n.keys, key) {
			n.retire(key)
		}
	}
	return nil
}

// sameOrNew returns the entry of a cluster key in a list, or a new one.
func (n *Node) sameOrNew(old []*clusterKey, cluster []byte) *clusterKey {
	key := newClusterKey(cluster, n.network, n.public)
	for _, o := range old {
		if subtle.ConstantTimeCompare(o.psk[:], key.psk[:]) == 1 {
			return o
		}
	}
	return key
}

// retire wipes a cluster key, and lets the sessions that it vouched for be
// replaced.
func (n *Node) retire(key *clusterKey) {
	for _, p := range n.peers {
		if s := p.current.Load(); s != nil && s.cluster == key {
			s.worn.Store(true)
		}
		if p.handshake != nil && p.handshake.session.cluster == key {
			n.dropHandshake(p) // the next attempt has another key
		}
		if p.next != nil && p.next.cluster == key {
			n.end(p.next)
			p.next = nil
		}
		n.timers.set(p)
	}
	key.wipe()
}
