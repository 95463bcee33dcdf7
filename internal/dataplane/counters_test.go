// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
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
