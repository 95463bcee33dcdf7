// SPDX-License-Identifier: Apache-2.0

package web

import (
	"sync"
	"time"
)

// freshTime is how old an answer may be that costs the host something, such as
// a look at all that is kept on it.
const freshTime = time.Second

// recent remembers an answer for freshTime, so that many callers cost no more
// than one. Callers at the same time wait for one answer.
type recent[T any] struct {
	ask func() T

	mu    sync.Mutex
	at    time.Time
	value T
}

func (r *recent[T]) get() T {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at.IsZero() || time.Since(r.at) >= freshTime {
		r.value, r.at = r.ask(), time.Now()
	}
	return r.value
}
