// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"testing"

	"flanneld/peers/internal/gossip/wire"
)

func TestNewcomerOfTwoDuplicatesStops(t *testing.T) {
	settled, fresh, looking := wire.Meta{Settled: true, Instance: 1}, wire.Meta{Instance: 2}, wire.Meta{Looking: true, Instance: 3}
	for _, c := range []struct {
		what  string
		ours  wire.Meta
		start uint64
		other Duplicate
		stop  bool
	}{
		{"settled against a newcomer", settled, 1, Duplicate{Start: 9, about: fresh}, false},
		{"newcomer against a settled one", fresh, 9, Duplicate{Start: 1, about: settled}, true},
		{"newcomer against one that still looks", fresh, 1, Duplicate{Start: 9, about: looking}, false},
		{"both settled", settled, 1, Duplicate{Start: 2, about: settled}, false},
		{"newcomers, ours the earlier start", fresh, 3, Duplicate{Start: 4, about: wire.Meta{Instance: 1}}, true},
		{"newcomers, ours the later start", fresh, 4, Duplicate{Start: 3, about: wire.Meta{Instance: 9}}, false},
		{"newcomers of the same start, lower instance", fresh, 4, Duplicate{Start: 4, about: wire.Meta{Instance: 3}}, true},
		{"newcomers of the same start, higher instance", fresh, 4, Duplicate{Start: 4, about: wire.Meta{Instance: 1}}, false},
	} {
		if got := mustStop(c.ours, c.start, c.other); got != c.stop {
			t.Errorf("%s: stop %v", c.what, got)
		}
	}
}
