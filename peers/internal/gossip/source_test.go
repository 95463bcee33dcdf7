// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// api is a source that counts questions.
type api struct {
	addrs []string
	err   error
	asked int
}

func (a *api) String() string { return "api" }

func (a *api) Seeds(ctx context.Context) ([]string, error) {
	a.asked++
	if a.addrs == nil && a.err == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return a.addrs, a.err
}

// Rounds come every 1.5 to 4.5 s. A source is asked about every 30 s after a
// while, so that an API with a thousand nodes has some 33 questions a second.
func TestASourceIsAskedMoreAndMoreRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &api{err: errors.New("away")}
		f := &finder{Source: a}
		for range 1200 { // an hour
			if seeds, err := f.some(t.Context()); err == nil || len(seeds) > 0 {
				t.Fatal(seeds, err)
			}
			time.Sleep(3 * time.Second)
		}
		if a.asked < 90 || a.asked > 170 {
			t.Errorf("asked %d times in an hour, want about 120", a.asked)
		}
	})
}

func TestTheSeedsOfASourceStayWhileItFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &api{addrs: []string{"10.0.0.1", "10.0.0.2:99"}}
		f := &finder{Source: a}
		for _, fails := range []error{nil, errors.New("away"), errors.New("away")} {
			a.err = fails
			seeds, err := f.some(t.Context())
			if err != nil || fmt.Sprint(seeds) != "[10.0.0.1:8286 10.0.0.2:99]" {
				t.Errorf("%v, %v", seeds, err)
			}
			time.Sleep(time.Minute)
		}
		a.addrs, a.err = []string{}, nil
		if seeds, err := f.some(t.Context()); len(seeds) != 0 || !errors.Is(err, errNothingFound) {
			t.Errorf("%v, %v", seeds, err)
		}
	})
}

func TestASourceThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if _, err := (&finder{Source: &api{}}).some(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if took := time.Since(began); took != sourceTime {
			t.Errorf("waited %s", took)
		}
	})
}

// Of many seeds the best one is tried in each round, and others in turn.
func TestAFewOfManySeedsAreTried(t *testing.T) {
	a := &api{}
	for i := range 1000 {
		a.addrs = append(a.addrs, fmt.Sprintf("10.0.%d.%d", i/250, i%250+1))
	}
	f := &finder{Source: a}
	seen := map[Seed]bool{}
	for range 100 {
		seeds, err := f.some(t.Context())
		if err != nil || len(seeds) != sourceTried || seeds[0].String() != "10.0.0.1:8286" {
			t.Fatal(seeds, err)
		}
		for _, s := range seeds {
			seen[s] = true
		}
	}
	if len(seen) < 300 {
		t.Errorf("only %d different seeds in 100 rounds", len(seen))
	}
}
