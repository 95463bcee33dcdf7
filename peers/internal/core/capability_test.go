// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/core/sim"
	"flanneld/peers/internal/record"
)

func TestCapabilitiesReachTheOtherNodesWithTheirParameters(t *testing.T) {
	caps := []record.Capability{{Number: 7, Param: []byte{0, 1, 0xff}}, {Number: 9, Param: []byte{}}}
	w := sim.New(t, 90, 2, func(i int, c *core.Config) {
		if i == 1 {
			c.Caps = caps
		}
	})
	w.BootInTurn(w.Hosts)
	w.RunUntil(20*time.Second, "tables equal", w.TablesEqual)
	for _, n := range w.Hosts[0].Core.View().Nodes {
		var want []record.Capability
		if n.ID == w.Hosts[1].ID {
			want = caps
		}
		if !reflect.DeepEqual(n.Caps, want) {
			t.Errorf("%s announces %v, want %v", n.Name, n.Caps, want)
		}
	}
}

// What a node can do may change. That is no new start.
func TestCapabilitiesAreAnnouncedAnew(t *testing.T) {
	w := sim.New(t, 91, 3, func(_ int, c *core.Config) { c.Caps = []record.Capability{{Number: 1, Param: []byte{1}}} })
	w.BootInTurn(w.Hosts)
	h := w.Hosts[1]
	announces := func(numbers ...uint16) func() bool {
		return func() bool {
			for _, other := range w.Hosts {
				for _, n := range other.Core.View().Nodes {
					var got []uint16
					for _, c := range n.Caps {
						got = append(got, c.Number)
					}
					if n.ID == h.ID && (!slices.Equal(got, numbers) || n.State != core.NodeAlive) {
						return false
					}
				}
			}
			return true
		}
	}
	w.RunUntil(20*time.Second, "its capability is known", announces(1))
	start := h.Core.StartNumber()
	for _, numbers := range [][]uint16{{1, 2, 3}, {}, {2}} {
		var caps []record.Capability
		for _, n := range numbers {
			caps = append(caps, record.Capability{Number: n})
		}
		h.Do(func(now core.Time) {
			if err := h.Core.SetCaps(now, caps); err != nil {
				t.Error(err)
			}
			if err := h.Core.SetCaps(now, make([]record.Capability, 17)); err == nil {
				t.Error("17 capabilities are accepted")
			}
		})
		w.RunUntil(20*time.Second, fmt.Sprint(numbers, " are known"), announces(numbers...))
	}
	if got := h.Core.StartNumber(); got != start || !h.Confirmed() {
		t.Errorf("start %d became %d, confirmed %t", start, got, h.Confirmed())
	}
}

func TestTooManyCapabilitiesAreRefusedAtTheStart(t *testing.T) {
	for name, caps := range map[string][]record.Capability{
		"17 capabilities":        make([]record.Capability, 17),
		"33 bytes of parameters": {{Number: 1, Param: make([]byte, 33)}},
	} {
		if _, err := core.New(core.Config{Identity: sim.Identity(1), Caps: caps}, nil, nil); err == nil {
			t.Errorf("%s are accepted", name)
		}
	}
}
