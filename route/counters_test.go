// SPDX-License-Identifier: Apache-2.0

package route

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

// Each peer and the sum get their counts, however packets of different peers
// follow each other.
func TestRunsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		peers := make([]traffic, 3)
		want := make([]Volume, 3)
		var total Volume
		var c counters
		var batch tally
		for _, peer := range rapid.SliceOf(rapid.IntRange(0, 3)).Draw(t, "peers") {
			if peer == 3 {
				batch.commit(&c)
				continue
			}
			batch.carried(&peers[peer], 1, 100)
			want[peer].Packets++
			want[peer].Bytes += 100
			total.Packets++
			total.Bytes += 100
		}
		batch.commit(&c)
		for i := range peers {
			if got := peers[i].volume(); got != want[i] {
				t.Errorf("peer %d: %+v, want %+v", i, got, want[i])
			}
		}
		if got := c.traffic.volume(); got != total {
			t.Errorf("sum %+v, want %+v", got, total)
		}
	})
}

func TestEveryReasonHasANameAndADirection(t *testing.T) {
	listed := map[Reason]bool{}
	for _, r := range append(egressReasons, ingressReasons...) {
		listed[r] = true
	}
	names := map[string]bool{}
	for r := Forwarded; r < reasonCount; r++ {
		if name := r.String(); name == "" || names[name] {
			t.Errorf("reason %d is called %q", r, name)
		}
		names[r.String()] = true
		if listed[r] != (r != Forwarded) {
			t.Errorf("%s: listed %v", r, listed[r])
		}
		if answers[r].typ != 0 && ingressOnly(r) {
			t.Errorf("%s is answered to the underlay", r)
		}
	}
	if got := reasonCount.String(); got != "unknown" {
		t.Errorf("what is no reason is called %q", got)
	}
}

func ingressOnly(r Reason) bool {
	for _, e := range egressReasons {
		if e == r {
			return false
		}
	}
	return true
}

func TestCountersAsJSON(t *testing.T) {
	c := Counters{Egress: Direction{Volume: Volume{1, 2}, Drops: []Drop{{NoRoute, 3}}}, Ingress: newDirection(nil)}
	got, err := json.Marshal(c)
	want := `{"egress":{"packets":1,"bytes":2,"drops":[{"reason":"no-route","packets":3}]},` +
		`"ingress":{"packets":0,"bytes":0,"drops":[]},"answers":{"sent":0,"suppressed":0,"failed":0}}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}
