// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"math"
	"sync"
)

// Limits of the broadcast queue.
const (
	// Waiting. Beyond either, the ones sent most often are dropped.
	maxBroadcasts     = 8192
	maxBroadcastBytes = 8 << 20
	// minBroadcast is less than any has, in bytes: a signature and a key. Less
	// room than that is not worth a look.
	minBroadcast = 96
	// maxTold bounds how often one is sent: retransmitMult times the digits of
	// a number of nodes beyond any real one.
	maxTold = retransmitMult * 6
)

// broadcastQueue holds the messages for all nodes. Each is sent a number of
// times that grows with the logarithm of the number of nodes. The ones sent
// least come first; a newer one takes the place of an older one with its key.
//
// memberlist has a queue for that, TransmitLimitedQueue. It loses messages
// (v0.7.0). It distinguishes them by length, by how often they were sent, and
// by a number. That number starts again whenever the queue is empty for a
// moment, even while an item is being replaced.
type broadcastQueue struct {
	nodes func() int // how many there are

	mu    sync.Mutex
	byKey map[string]*broadcast
	bytes int                   // of the messages in byKey
	told  [maxTold][]*broadcast // by how often, oldest first; of one that was replaced, byKey has another
}

type broadcast struct {
	key string
	msg []byte
}

func newBroadcastQueue(nodes func() int) *broadcastQueue {
	return &broadcastQueue{nodes: nodes, byKey: map[string]*broadcast{}}
}

// times is how often a broadcast is sent in a network of n nodes.
func times(n int) int {
	return min(retransmitMult*int(math.Ceil(math.Log10(float64(n+1)))), maxTold)
}

// put adds a broadcast. It keeps msg.
func (q *broadcastQueue) put(key string, msg []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := &broadcast{key, msg}
	q.forget(key)
	q.byKey[key] = r
	q.bytes += len(msg)
	q.told[0] = append(q.told[0], r)
	for len(q.byKey) > maxBroadcasts || q.bytes > maxBroadcastBytes && len(q.byKey) > 1 {
		q.dropOne()
	}
}

// size is how many broadcasts wait, and their bytes.
func (q *broadcastQueue) size() (messages, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.byKey), q.bytes
}

// forget removes the broadcast under a key; q.mu is held.
func (q *broadcastQueue) forget(key string) {
	if r := q.byKey[key]; r != nil {
		q.bytes -= len(r.msg)
		delete(q.byKey, key)
	}
}

// dropOne drops the oldest of the broadcasts sent most often; q.mu is held.
func (q *broadcastQueue) dropOne() {
	for i := len(q.told) - 1; i >= 0; i-- {
		for len(q.told[i]) > 0 {
			r := q.told[i][0]
			q.told[i] = q.told[i][1:]
			if q.byKey[r.key] == r {
				q.forget(r.key)
				return
			}
		}
	}
}

// take returns what fits into room bytes, where each broadcast costs overhead
// bytes more than its length. It counts each as sent once more.
func (q *broadcastQueue) take(overhead, room int) [][]byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.byKey) == 0 {
		return nil
	}
	most := times(q.nodes())
	var msgs [][]byte
	var again [maxTold + 1][]*broadcast // sorted in only after all were looked at, so that none is sent twice
	for i := range q.told {
		var left []*broadcast
		for at, r := range q.told[i] {
			if room < overhead+minBroadcast {
				left = append(left, q.told[i][at:]...)
				break
			}
			switch {
			case q.byKey[r.key] != r: // replaced
			case overhead+len(r.msg) > room:
				left = append(left, r)
			default:
				room -= overhead + len(r.msg)
				msgs = append(msgs, r.msg)
				if i+1 < most {
					again[i+1] = append(again[i+1], r)
				} else {
					q.forget(r.key)
				}
			}
		}
		q.told[i] = append(left, again[i]...)
	}
	return msgs
}
