// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestARequestForEventsWaitsForTheNextOne(t *testing.T) {
	path, _ := serve(t, &fake{})
	c := NewClient(path)
	got, err := c.Events(t.Context(), EventsQuery{})
	if err != nil || len(got.Events) != 1 || got.Events[0].Text != "beta is up" {
		t.Errorf("got %+v, %v", got, err)
	}
	started := time.Now()
	got, err = c.Events(t.Context(), EventsQuery{After: 7, Wait: time.Second})
	if err != nil || len(got.Events) != 0 || time.Since(started) < 900*time.Millisecond {
		t.Errorf("after %v: %+v, %v", time.Since(started), got, err)
	}
}

// Callers that wait leave room for others, and do not delay a stop.
func TestWaitsForEventsAreBoundedAndEndWithTheServer(t *testing.T) {
	path, s := serve(t, &fake{})
	c := NewClient(path)
	var waiting sync.WaitGroup
	for range maxEventWaits {
		waiting.Go(func() { _, _ = c.Events(context.Background(), EventsQuery{After: 7, Wait: MaxEventWait}) })
	}
	for deadline := time.Now().Add(10 * time.Second); len(s.waits) < maxEventWaits; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("they do not wait")
		}
	}
	if _, err := c.Events(t.Context(), EventsQuery{After: 7, Wait: time.Second}); err == nil || !strings.Contains(err.Error(), "8 callers wait") {
		t.Errorf("one more: %v", err)
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Error(err)
	}
	started := time.Now()
	if err := s.Shutdown(context.Background()); err != nil || time.Since(started) > 5*time.Second {
		t.Errorf("stop after %v: %v", time.Since(started), err)
	}
	waiting.Wait()
}

func FuzzDecodeEvents(f *testing.F) {
	for _, seed := range []string{"", "after=7", "after=7&wait=20", "wait=21", "after=-1", "wait=1e9", "after=18446744073709551615", "wait=65536", "after=%00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		if q, err := decodeEvents(values); err == nil && (q.Wait < 0 || q.Wait > MaxEventWait) {
			t.Errorf("%q: %+v accepted", query, q)
		}
	})
}
