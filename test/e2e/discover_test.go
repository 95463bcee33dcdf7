// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// A command names the nodes to join. A node waits for it, says why, and founds
// no network of its own.
func TestNodesAreFoundByACommand(t *testing.T) {
	t.Parallel()
	l, h1 := founder(t)
	h2 := l.Host()
	file := filepath.Join(t.TempDir(), "nodes")
	calls := filepath.Join(t.TempDir(), "calls")
	command := "echo >>" + calls + "; cat " + file + " | tr , '\\n'"
	h2.Start("--join", "exec:"+command)
	lab.Eventually(t, ready, "status says that the command fails", func() error {
		var s lab.Status
		err := h2.JSON(&s, "status", "--exit-zero")
		if err == nil && !strings.Contains(s.Lease.Waiting, "the command printed nothing: it names no node: cat: ") {
			err = fmt.Errorf("it waits for %q", s.Lease.Waiting)
		}
		return err
	})
	if err := os.WriteFile(file, []byte(h2.Addr.String()+","+h1.Addr.String()+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	h2.Daemon.WaitReady(ready)
	l.WaitConverged(2)
	before := read(t, calls)
	time.Sleep(4 * time.Second)
	if after := read(t, calls); after != before {
		t.Errorf("the command ran %d times with another node up", len(after)-len(before))
	}
	refused(t, l.Host(), 2, []string{"--join", "exec:"}, "--join exec:", "has no command")
	refused(t, l.Host(), 2, []string{"--join", "consul:web"}, "--join consul:web", "srv:NAME")
}
