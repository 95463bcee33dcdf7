// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
)

// Messages of equal length, room for some only, arrivals at any time:
// each is sent as often as it should be, whatever happens to the others.
func TestBroadcastsAreSentAsOftenAsTheyShould(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, seed))
		nodes := 1 + random.IntN(2000)
		q := newBroadcastQueue(func() int { return nodes })
		put, told := map[string]bool{}, map[string]int{}
		for round := 0; round < 200 || len(q.byKey) > 0; round++ {
			if round > 100000 {
				t.Fatalf("seed %d: %d broadcasts are never sent", seed, len(q.byKey))
			}
			for range random.IntN(3) {
				if round >= 200 {
					break
				}
				msg := fmt.Sprintf("%0200d", len(put))
				put[msg] = true
				q.put(msg, []byte(msg))
			}
			msgs := q.take(3, random.IntN(1400))
			seen := map[string]bool{}
			for _, m := range msgs {
				told[string(m)]++
				if seen[string(m)] {
					t.Fatalf("seed %d: one was told twice at once", seed)
				}
				seen[string(m)] = true
			}
		}
		for msg := range put {
			if told[msg] != times(nodes) {
				t.Errorf("seed %d: among %d nodes %s was told %d times, want %d", seed, nodes, msg[190:], told[msg], times(nodes))
			}
		}
		if len(told) != len(put) {
			t.Errorf("seed %d: told %v", seed, maps.Keys(told))
		}
	}
}

func TestNewerBroadcastReplacesTheOlder(t *testing.T) {
	q := newBroadcastQueue(func() int { return 9 })
	old, other, newer := bytes.Repeat([]byte{1}, 100), bytes.Repeat([]byte{2}, 100), bytes.Repeat([]byte{3}, 100)
	q.put("key", old)
	q.put("other", other)
	if got := q.take(0, 1000); len(got) != 2 {
		t.Fatalf("%d at first", len(got))
	}
	q.put("key", newer)
	for range times(9) {
		for _, m := range q.take(0, 1000) {
			if m[0] == 1 {
				t.Error("the older one is still told")
			}
		}
	}
	if len(q.byKey) != 0 {
		t.Errorf("%d are left", len(q.byKey))
	}
}

func TestBroadcastsAreBounded(t *testing.T) {
	q := newBroadcastQueue(func() int { return 9 })
	for i := range maxBroadcasts {
		q.put(fmt.Sprint(i), make([]byte, 100))
	}
	q.take(0, 500) // the first five have been told once
	for i := range 10 {
		q.put(fmt.Sprint("new ", i), make([]byte, 100))
	}
	if len(q.byKey) != maxBroadcasts {
		t.Errorf("%d wait", len(q.byKey))
	}
	for i := range 5 {
		if q.byKey[fmt.Sprint(i)] != nil {
			t.Errorf("%d was told already, and is kept", i)
		}
	}
	if q.byKey["new 9"] == nil {
		t.Error("the newest is not kept")
	}
}

func TestBroadcastsAreBoundedInBytes(t *testing.T) {
	q := newBroadcastQueue(func() int { return 9 })
	const size = 1 << 20
	for i := range 3 * maxBroadcastBytes / size {
		q.put(fmt.Sprint(i), make([]byte, size))
		q.put("again", make([]byte, size/2)) // takes its own place
	}
	sum := 0
	for _, r := range q.byKey {
		sum += len(r.msg)
	}
	if sum != q.bytes || sum > maxBroadcastBytes {
		t.Errorf("%d bytes wait, %d are counted, at most %d", sum, q.bytes, maxBroadcastBytes)
	}
	for len(q.byKey) > 0 {
		q.take(0, 2*size)
	}
	if q.bytes != 0 {
		t.Errorf("an empty queue counts %d bytes", q.bytes)
	}
}

// The size of the queue follows what is put in, replaced and sent often enough.
func TestBroadcastQueueKnowsItsSize(t *testing.T) {
	q := newBroadcastQueue(func() int { return 9 })
	size := func(wantMessages, wantBytes int) {
		t.Helper()
		if messages, bytes := q.size(); messages != wantMessages || bytes != wantBytes {
			t.Errorf("%d messages of %d bytes, want %d of %d", messages, bytes, wantMessages, wantBytes)
		}
	}
	size(0, 0)
	q.put("a", make([]byte, 100))
	q.put("b", make([]byte, 200))
	size(2, 300)
	q.put("a", make([]byte, 150))
	size(2, 350)
	for range times(9) {
		q.take(0, 1000)
	}
	size(0, 0)
}
