// SPDX-License-Identifier: Apache-2.0

package gossip

import "sync/atomic"

// room is how many bytes a queue may still take. It is safe for concurrent use.
type room struct{ left *atomic.Int64 }

// newRoom makes room for so many bytes.
func newRoom(bytes int64) room {
	r := room{new(atomic.Int64)}
	r.left.Store(bytes)
	return r
}

// take reserves n bytes, and reports whether they were there.
func (r room) take(n int) bool {
	if r.left.Add(-int64(n)) >= 0 {
		return true
	}
	r.left.Add(int64(n))
	return false
}

// give returns n bytes that were taken.
func (r room) give(n int) { r.left.Add(int64(n)) }
