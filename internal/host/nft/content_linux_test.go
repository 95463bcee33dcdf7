// SPDX-License-Identifier: Apache-2.0

package nft

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

func set(keys ...string) map[string]bool {
	all := map[string]bool{}
	for _, k := range keys {
		all[k] = true
	}
	return all
}

func TestKeysAreCompared(t *testing.T) {
	k := keys{"a": set("1", "2"), "b": set()}
	for name, c := range map[string]struct {
		other keys
		same  bool
	}{
		"the same":      {keys{"a": set("2", "1"), "b": set()}, true},
		"a copy":        {clone(k), true},
		"one more":      {keys{"a": set("1", "2", "3"), "b": set()}, false},
		"another":       {keys{"a": set("1", "3"), "b": set()}, false},
		"fewer sets":    {keys{"a": set("1", "2")}, false},
		"another set":   {keys{"a": set("1", "2"), "c": set()}, false},
		"none, not set": {nil, false},
	} {
		if k.equal(c.other) != c.same || c.other.equal(k) != c.same {
			t.Errorf("%s: not %t", name, c.same)
		}
	}
	if got := minus(set("3", "1", "2"), set("2")); !slices.Equal(got, []string{"1", "3"}) {
		t.Errorf("in order: %q", got)
	}
}

// What a counter says is no difference; everything else is one.
func TestStructureIsAllButKeysAndCounts(t *testing.T) {
	content := func(change func(*Content)) Content {
		c := Content{
			Sets:     []Set{{Name: "s", Key: nftables.TypeIPAddr, Keys: set("1234")}},
			Counters: []string{"n"},
			Chains:   []Chain{{Name: "c", Hook: nftables.ChainHookInput, Priority: 5, Rules: [][]expr.Any{Drop(), Accept()}}},
		}
		change(&c)
		return c
	}
	c := content(func(*Content) {})
	if c.lines() != 3 {
		t.Errorf("%d lines", c.lines())
	}
	for name, other := range map[string]struct {
		change func(*Content)
		same   bool
	}{
		"keys":     {func(c *Content) { c.Sets[0].Keys = nil }, true},
		"counts":   {func(c *Content) { c.Chains[0].Rules[0][0] = &expr.Counter{Packets: 7} }, true},
		"type":     {func(c *Content) { c.Sets[0].Key = nftables.TypeIFName }, false},
		"counted":  {func(c *Content) { c.Sets[0].Counted = true }, false},
		"counter":  {func(c *Content) { c.Counters = nil }, false},
		"priority": {func(c *Content) { c.Chains[0].Priority = 6 }, false},
		"hook":     {func(c *Content) { c.Chains[0].Hook = nil }, false},
		"rule":     {func(c *Content) { c.Chains[0].Rules = c.Chains[0].Rules[:1] }, false},
	} {
		if same := content(other.change).structure() == c.structure(); same != other.same {
			t.Errorf("%s: same %t", name, same)
		}
	}
}

func TestPlaceOfAChainThatWasRead(t *testing.T) {
	hook, priority, drop := nftables.ChainHookForward, nftables.ChainPriorityRef(-10), nftables.ChainPolicyDrop
	want := Chain{Hook: hook, Priority: -10}.place()
	for name, c := range map[string]struct {
		chain nftables.Chain
		place string
	}{
		"no hook":        {nftables.Chain{}, ""},
		"no policy":      {nftables.Chain{Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: priority}, want},
		"another type":   {nftables.Chain{Type: nftables.ChainTypeNAT, Hooknum: hook, Priority: priority}, strings.Replace(want, "filter", "nat", 1)},
		"another policy": {nftables.Chain{Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: priority, Policy: &drop}, strings.Replace(want, "policy 1", "policy 0", 1)},
	} {
		if got := placeRead(&c.chain); got != c.place {
			t.Errorf("%s: %q, want %q", name, got, c.place)
		}
	}
}

func TestErrorsOfAKernelThatLacksSomething(t *testing.T) {
	for err, lacks := range map[error]bool{unix.EPROTONOSUPPORT: true, unix.EINVAL: true, unix.ENOENT: true, unix.EPERM: false, unix.ENOBUFS: false} {
		if got := explain(err); errors.Is(got, ErrUnsupported) != lacks || !errors.Is(got, err) {
			t.Errorf("%v: %v", err, got)
		}
	}
	if explain(nil) != nil {
		t.Error("an error of nothing")
	}
}

func TestKeysGoIntoMessagesOfABoundedLength(t *testing.T) {
	var all []string
	for i := range 2*chunk + 1 {
		all = append(all, string([]byte{byte(i >> 16), byte(i >> 8), byte(i), 0}))
	}
	var sizes []int
	if err := each(all, func(e []nftables.SetElement) error {
		sizes = append(sizes, len(e))
		return nil
	}); err != nil || !slices.Equal(sizes, []int{chunk, chunk, 1}) {
		t.Errorf("%v, %v", sizes, err)
	}
	stop := errors.New("stop")
	if err := each(all, func([]nftables.SetElement) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
}
