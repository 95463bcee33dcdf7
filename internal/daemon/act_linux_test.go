// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"strings"
	"testing"

	"flanneld/internal/control"
	"flanneld/peers"
)

// api is what the control socket takes.
var _ control.Daemon = api{}

func TestCommandsNeedANodeThatRuns(t *testing.T) {
	var log strings.Builder
	d := idle(t, &log, nil)
	d.exits = exits{left: make(chan leaveReply), ended: make(chan struct{})}
	if _, err := d.Leave(t.Context()); !errors.Is(err, peers.ErrNotRunning) {
		t.Errorf("leave: %v", err)
	}
	if d.exits.leaving.Load() {
		t.Error("a leave that was refused goes on")
	}
	d.exits.leaving.Store(true)
	if _, err := d.Leave(t.Context()); err == nil || !strings.Contains(err.Error(), "leaving already") {
		t.Errorf("a second leave: %v", err)
	}
	if _, err := d.Forget(t.Context(), "b"); err == nil {
		t.Error("forgot a node of a table that is not there")
	}
	joined, err := d.Join(t.Context(), []string{"192.0.2.7"})
	if err != nil || joined.Joined == nil || len(joined.Joined) != 0 || joined.Failed == "" {
		t.Errorf("join: %+v, %v", joined, err)
	}
	for address, fine := range map[string]bool{"host1": true, "192.0.2.7:8286": true, "": false, "a b": false, "http://host1": false, "::1": false} {
		if err := d.CheckAddress(address); (err == nil) != fine {
			t.Errorf("%q: %v", address, err)
		}
	}
}
