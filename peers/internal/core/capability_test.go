// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"bytes"
	"testing"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/core/sim"
	"flanneld/peers/internal/record"
)

func TestCapabilitiesReachTheOtherNodesWithTheirParameters(t *testing.T) {
	param := []byte{0, 1, 0xff}
	w := sim.New(t, 90, 2, func(i int, c *core.Config) {
		if i == 1 {
			c.Caps = []record.Capability{{Number: 7, Param: param}, {Number: 9}}
		}
	})
	w.BootInTurn(w.Hosts)
	w.RunUntil(20*time.Second, "tables equal", w.TablesEqual)
	for _, n := range w.Hosts[0].Core.View().Nodes {
		got, ok := n.Record.Capability(7)
		if announces := n.ID == w.Hosts[1].ID; ok != announces || announces && !bytes.Equal(got, param) {
			t.Errorf("%s announces capability 7 %v, with %x", n.Record.Name, ok, got)
		}
		if _, ok := n.Record.Capability(8); ok {
			t.Errorf("%s announces a capability that it has not", n.Record.Name)
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
