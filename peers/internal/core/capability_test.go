// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"reflect"
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
