// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"strings"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"flanneld/internal/problem"
)

// notifier talks to the service manager that started the daemon, if one did
// (sd_notify(3)). Used by one goroutine.
type notifier struct{ last string }

// send passes assignments on when they are news, one line each. Their values
// may hold what came from other nodes, and the manager obeys each line it gets.
// So every assignment is made one printable line first. There is nothing to do
// about an error: without a manager nothing listens.
func (n *notifier) send(assignments ...string) {
	lines := make([]string, len(assignments))
	for i, a := range assignments {
		lines[i] = problem.OneLine(a)
	}
	state := strings.Join(lines, "\n")
	if state == n.last {
		return
	}
	n.last = state
	_, _ = sd.SdNotify(false, state)
}
