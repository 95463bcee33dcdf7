// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"maps"
	"reflect"
	"testing"

	"flanneld/route"
)

func TestTotalsOutlivePlanes(t *testing.T) {
	first := route.Counters{
		Egress:  route.Direction{Volume: route.Volume{Packets: 2, Bytes: 200}, Drops: []route.Drop{{Reason: route.NoRoute, Packets: 3}, {Reason: route.TooShort}}},
		Ingress: route.Direction{Volume: route.Volume{Packets: 5, Bytes: 500}, Drops: []route.Drop{{Reason: route.ForeignSource, Packets: 7}}},
		Answers: route.Answers{Sent: 1, Suppressed: 2, Failed: 3},
	}
	second := route.Counters{Egress: route.Direction{Drops: []route.Drop{{Reason: route.ForeignSource, Packets: 1}, {Reason: route.NoRoute, Packets: 1}}}, Answers: route.Answers{Sent: 10, Suppressed: 20, Failed: 30}}
	var totals Totals
	if got := totals.Sum(); got.Drops == nil || len(got.Drops) != 0 {
		t.Errorf("before the first plane: %+v", got)
	}
	totals.End() // no plane: nothing to keep
	totals.Begin(func() route.Counters { return first })
	totals.End()
	if got := totals.Sum(); got.Drops["egress-no-route"] != 3 || got.Egress.Packets != 2 {
		t.Errorf("after the first plane: %+v", got)
	}
	totals.Begin(func() route.Counters { return second })
	want := Sum{
		Egress: route.Volume{Packets: 2, Bytes: 200}, Ingress: route.Volume{Packets: 5, Bytes: 500},
		Drops:   map[string]uint64{"egress-no-route": 4, "egress-foreign-source": 1, "ingress-foreign-source": 7},
		Answers: route.Answers{Sent: 11, Suppressed: 22, Failed: 33},
	}
	for range 2 { // asking changes nothing
		if got := totals.Sum(); !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// What the kernel drops is counted with what planes drop.
func TestTotalsHaveTheDropsOfTheKernel(t *testing.T) {
	plane := route.Counters{Egress: route.Direction{Drops: []route.Drop{{Reason: route.SendFailed, Packets: 3}}}}
	totals := Totals{Dropped: func() map[string]uint64 { return map[string]uint64{"egress-send-failed": 2, "ingress-write-failed": 0} }}
	totals.Begin(func() route.Counters { return plane })
	want := map[string]uint64{"egress-send-failed": 5}
	for range 2 { // asking changes nothing
		if got := totals.Sum().Drops; !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}
