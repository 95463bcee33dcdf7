// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"flanneld/internal/page"
	"flanneld/route"
)

// Each loop that does not answer in time is named, and no other.
func TestLoopsThatDoNotAnswerAreNamed(t *testing.T) {
	stuck := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	fine := func(context.Context) error { return nil }
	hangs := func(limit time.Duration) []string {
		if limit < time.Minute {
			t.Errorf("a round of %v counts as one that hangs", limit)
		}
		return []string{"firewall"}
	}
	for name, c := range map[string]struct {
		works   bool // the main loop
		answers func(context.Context) error
		hanging func(time.Duration) []string
		want    []string // beginnings of lines
	}{
		"all is well":               {true, fine, func(time.Duration) []string { return nil }, nil},
		"before there is peers":     {true, nil, nil, nil},
		"the main loop hangs":       {false, fine, nil, []string{"the daemon's main loop"}},
		"gossip hangs":              {true, stuck, nil, []string{"the loop of gossip and leases"}},
		"gossip has ended":          {true, func(context.Context) error { return errors.New("not running") }, nil, []string{"the loop of gossip and leases does not answer: not running"}},
		"a loop of the guard hangs": {true, fine, hangs, []string{`the loop that keeps the part "firewall"`}},
		"both hang":                 {false, stuck, nil, []string{"the daemon's main loop", "the loop of gossip and leases"}},
	} {
		d := &daemon{pulse: make(chan struct{})}
		d.show(shown{answers: c.answers, hanging: c.hanging})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if c.works {
			go func() { <-d.pulse }()
		}
		got := d.silent(ctx)
		cancel()
		if !slices.EqualFunc(got, c.want, strings.HasPrefix) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// The page explains each kind of drop, and no kind that there is not.
func TestThePageExplainsAllKindsOfDrops(t *testing.T) {
	meanings := page.Meanings()
	for _, kind := range dropKinds() {
		if meanings[kind].Means == "" {
			t.Errorf("%s is not explained", kind)
		}
	}
	if len(meanings) != len(dropKinds()) {
		t.Errorf("%d kinds are explained of %d", len(meanings), len(dropKinds()))
	}
}

func TestAllKindsOfDropsAreNamed(t *testing.T) {
	kinds := dropKinds()
	egress, ingress := route.Reasons()
	if len(kinds) != len(egress)+len(ingress) || !slices.Contains(kinds, "egress-no-route") || !slices.Contains(kinds, "ingress-unknown-sender") {
		t.Errorf("got %q", kinds)
	}
}
