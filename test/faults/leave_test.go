// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package faults

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// TestLeaveCutShort kills a daemon that is handing its lease back, and starts
// it again at once. All, some or none of the others have heard of the leave.
// The node has its lease again, or claims one. It never resumes one that it
// loses a moment later.
func TestLeaveCutShort(t *testing.T) {
	t.Parallel()
	random := randomness(seed(t), 200)
	l := lab.New(t)
	hosts := l.Network(6)
	h := l.Host()
	h.Start("--join", hosts[0].Addr.String()).WaitReady(ready)
	for n := range 20 {
		before := onDisk(t, h)
		leave := h.Command("leave")
		if err := leave.Start(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(ready); os.SameFile(before, onDisk(t, h)) && time.Now().Before(end); {
			time.Sleep(100 * time.Microsecond) // only later lines matter
		}
		<-time.After(between(random, 0, 5*time.Millisecond))
		h.Daemon.Kill()
		leave.Wait()
		d := h.Start("--join", hosts[n%len(hosts)].Addr.String()).WaitReady(ready)
		lease := h.Lease()
		<-time.After(300 * time.Millisecond) // for gossip to spread
		if strings.Contains(d.Log(), "lease lost") || h.Lease() != lease {
			t.Fatalf("start %d resumed %v, which was not its own any more:\n%s", n, lease, d.Log())
		}
	}
}

// onDisk is the file with the lease; each write makes a new one.
func onDisk(t *testing.T, h *lab.Host) os.FileInfo {
	t.Helper()
	info, err := os.Stat(filepath.Join(h.StateDir, "lease"))
	if err != nil {
		t.Fatal(err)
	}
	return info
}
