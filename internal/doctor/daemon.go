// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"flanneld/internal/control"
)

// daemon asks the running daemon, and notes what it says of itself.
func (e *exam) daemon(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	s, err := e.Client.Status(ctx)
	switch {
	case errors.Is(err, control.ErrNoDaemon):
		e.broken("daemon", "running", err.Error(), e.startAdvice(ctx))
		return
	case err != nil && strings.Contains(err.Error(), "permission denied"), err != nil && strings.Contains(err.Error(), "may not talk"):
		e.skip("daemon", "running", err.Error(), asRoot)
		return
	case err != nil:
		e.broken("daemon", "running", err.Error(), "see what it does: journalctl -u flanneld -n 50; then systemctl restart flanneld (traffic goes on meanwhile)")
		return
	}
	e.running, e.status = true, s
	e.ok("daemon", "running", "flanneld %s answers, process %d, up %v", s.Version, s.PID, s.Uptime.Duration().Round(time.Second))
	if e.nodes, err = e.Client.Nodes(ctx); err != nil {
		e.skip("peers", "nodes", err.Error(), "run flanneld doctor again")
	}
	if s.Version == e.Version {
		e.ok("daemon", "version", "the daemon and this command are %s", s.Version)
	} else {
		e.warn("daemon", "version", fmt.Sprintf("the daemon is %s, and this command is %s", s.Version, e.Version),
			"systemctl restart flanneld (traffic goes on meanwhile, lease and device are kept)")
	}
	if missing := s.Readiness.Missing; s.Readiness.Ready {
		e.ok("daemon", "ready", "this host does its work for containers")
	} else {
		e.broken("daemon", "ready", "not ready: "+strings.Join(missing, "; "), "follow the lines below; what is missing here has its cause there")
	}
	e.judgeParts(s.Problems)
}

// startAdvice is how to start the daemon, with what systemd knows about it.
func (e *exam) startAdvice(ctx context.Context) string {
	const start = "systemctl start flanneld, or flanneld run"
	switch state, err := e.output(ctx, "systemctl", "is-active", "flanneld"); {
	case err != nil && state == "":
		return start
	case state == "failed":
		return "see why it failed: journalctl -u flanneld -n 20; then " + start
	case state == "activating":
		return "it is starting: see what it waits for with systemctl status flanneld"
	}
	return start
}
