// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func hasToken(s *Subscription) bool {
	select {
	case <-s.Changed:
		return true
	default:
		return false
	}
}

func TestEverySubscriberLearnsOfEveryChange(t *testing.T) {
	h := NewHub()
	a, b := h.Subscribe(), h.Subscribe()
	raw, nat := Chain{FamilyIPv4, "raw", "PREROUTING"}, Chain{FamilyIPv4, "nat", "POSTROUTING"}
	h.publish(Change{Program: "dockerd", Chains: map[Chain]bool{raw: true}})
	if !hasToken(a) || !a.Take().Chains[raw] {
		t.Error("the first change was not reported")
	}
	h.publish(Change{Program: "nft", Chains: map[Chain]bool{nat: true}})
	h.publish(Change{Legacy: true})
	if c := a.Take(); !hasToken(a) || c.Chains[raw] || !c.Chains[nat] || c.Program != "nft" || !c.Legacy {
		t.Errorf("the second took %+v", c)
	}
	if c := b.Take(); !hasToken(b) || !c.Chains[raw] || !c.Chains[nat] || c.Program != "nft" || hasToken(b) {
		t.Errorf("all at once: %+v", c)
	}
	if c := b.Take(); c.Program != "" || c.Legacy || len(c.Chains) > 0 {
		t.Errorf("taken twice: %+v", c)
	}
	b.Close()
	h.publish(Change{All: true})
	if hasToken(b) || !hasToken(a) || !a.Take().All {
		t.Error("a closed subscription is woken, or an open one is not")
	}
}

func TestTooManyChainsAreAChangeOfEverything(t *testing.T) {
	h := NewHub()
	s := h.Subscribe()
	for i := range maxChains + 1 {
		h.publish(Change{Chains: map[Chain]bool{{FamilyInet, "t", fmt.Sprint(i)}: true}})
	}
	if c := s.Take(); !c.All || len(c.Chains) != maxChains {
		t.Errorf("all %t, %d chains", c.All, len(c.Chains))
	}
}

// Where nf_tables reports nothing, legacy tables are read all the same.
func TestLegacyTablesAreReadNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		prints := []string{"a", "a", "b", "b"}
		h := NewHub()
		h.watch = func(context.Context) (*Watcher, error) { return nil, errors.New("no nf_tables") }
		h.legacy = func() (string, error) {
			now := prints[0]
			prints = prints[1:]
			return now, nil
		}
		s := h.Subscribe()
		ctx, cancel := context.WithCancel(t.Context())
		ended, err := h.Start(ctx)
		if err == nil || h.Live() {
			t.Errorf("live without nf_tables: %v", err)
		}
		for i, want := range []bool{false, true, false} {
			time.Sleep(legacyInterval)
			synctest.Wait()
			if got := hasToken(s); got != want || s.Take().Legacy != want {
				t.Errorf("after %d looks: told %t", i+1, got)
			}
		}
		cancel()
		<-ended
	})
}

func TestChangesOfNFTablesArePassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := make(chan struct{}, 1)
		w := &Watcher{Changed: tokens}
		h := NewHub()
		h.watch = func(context.Context) (*Watcher, error) { return w, nil }
		h.legacy = func() (string, error) { return "", nil }
		s := h.Subscribe()
		ctx, cancel := context.WithCancel(t.Context())
		ended, err := h.Start(ctx)
		if err != nil || !h.Live() {
			t.Errorf("not live: %v", err)
		}
		tokens <- struct{}{}
		synctest.Wait()
		if !hasToken(s) {
			t.Error("a change was not passed on")
		}
		cancel()
		<-ended
	})
}

// A Hub of a kernel without events wakes no subscriber in vain, and a legacy
// table that cannot be read for a while is no change.
func TestLegacyTablesThatCannotBeReadAreNoChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := []struct {
			print string
			err   error
			told  bool
		}{{"a", nil, false}, {"", errors.New("not now"), false}, {"a", nil, false}, {"", errors.New("not now"), false}, {"b", nil, true}, {"b", nil, false}}
		h := NewHub()
		h.watch = func(context.Context) (*Watcher, error) { return &Watcher{}, nil }
		look := 0
		h.legacy = func() (string, error) {
			defer func() { look++ }()
			return looks[look].print, looks[look].err
		}
		s := h.Subscribe()
		ctx, cancel := context.WithCancel(t.Context())
		ended, err := h.Start(ctx)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for i := range looks[1:] {
			time.Sleep(legacyInterval)
			synctest.Wait()
			if told := hasToken(s); told != looks[i+1].told {
				t.Errorf("look %d: told %t", i+1, told)
			}
		}
		cancel()
		<-ended
	})
}
