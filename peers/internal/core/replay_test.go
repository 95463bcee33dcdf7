// SPDX-License-Identifier: Apache-2.0

package core

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"flanneld/peers/internal/record"
)

func TestAMessageThatIsRepeatedCountsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, come := replays{}, map[record.Header]bool{}
		from := testIdentity(1).ID()
		for range 200 {
			h := record.Header{From: from, Start: rapid.Uint64Range(1, 3).Draw(t, "start"), Counter: rapid.Uint64Range(1, 300).Draw(t, "number")}
			if r.first(h) && come[h] {
				t.Fatalf("%+v was taken twice", h)
			}
			come[h] = true
		}
	})
}

func TestMessagesThatOvertakeEachOtherCount(t *testing.T) {
	r, from := replays{}, testIdentity(1).ID()
	for _, n := range []uint64{70, 7, 69, 8, 71, 134} {
		if !r.first(record.Header{From: from, Start: 1, Counter: n}) {
			t.Errorf("number %d, which has not come, counts as come", n)
		}
	}
	if r.first(record.Header{From: from, Start: 1, Counter: 9}) {
		t.Error("a number from before the window counts as new")
	}
	if !r.first(record.Header{From: from, Start: 2, Counter: 1}) {
		t.Error("the first message of another start counts as come")
	}
}

func TestSendersAreRememberedOnlySoFar(t *testing.T) {
	r := replays{}
	for n := range maxReplays + 10 {
		r.first(record.Header{From: someKey(n).ID(), Start: 1, Counter: 1})
	}
	if len(r) > maxReplays {
		t.Errorf("%d senders are remembered, at most %d may be", len(r), maxReplays)
	}
}

// A stranger that has recorded a digest cannot have a node send its table again
// and again to the node that the digest is from.
func TestARepeatedDigestIsNotAnswered(t *testing.T) {
	c := fuzzCore(t)
	c.Effects()
	digest := messageFrom(testIdentity(2), c, record.MsgDigest, record.DigestMessage{Parts: make([]byte, 8*record.Parts)})
	if err := c.Receive(1, digest); err != nil || len(c.Effects().Sends) == 0 {
		t.Fatalf("a digest that differs is not answered: %v", err)
	}
	for range 3 {
		_ = c.Receive(1, digest)
	}
	if n := len(c.Effects().Sends); n != 0 {
		t.Errorf("%d messages sent for a digest that had come before", n)
	}
}

func TestTokensComeBackOneByOne(t *testing.T) {
	var b tokens
	for i := range 5 {
		if got := b.take(0, 3, time.Minute); got != (i < 3) {
			t.Errorf("token %d: %v", i, got)
		}
	}
	if b.take(59*time.Second, 3, time.Minute) {
		t.Error("a token is back too early")
	}
	if !b.take(61*time.Second, 3, time.Minute) || b.take(62*time.Second, 3, time.Minute) {
		t.Error("after a minute there is one token, and no more")
	}
}
