// SPDX-License-Identifier: Apache-2.0

package core

import "time"

// tokens is a token bucket: burst tokens, and one more each time every has
// passed. The zero value is full.
type tokens struct {
	spent int
	at    Time // when the oldest spent token began to come back
}

// take takes a token, if there is one.
func (t *tokens) take(now Time, burst int, every time.Duration) bool {
	if t.spent > 0 {
		back := min(int64((now-t.at)/every), int64(t.spent))
		t.spent -= int(back)
		t.at += time.Duration(back) * every
	}
	if t.spent >= burst {
		return false
	}
	if t.spent == 0 {
		t.at = now
	}
	t.spent++
	return true
}
