// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"flanneld/internal/view"
	"flanneld/peers"
)

// manager is the socket a service manager listens at.
func manager(t *testing.T) *net.UnixConn {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "notify")
	listener, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	t.Setenv("NOTIFY_SOCKET", socket)
	return listener
}

func received(t *testing.T, from *net.UnixConn) string {
	t.Helper()
	buf := make([]byte, 64<<10)
	n, err := from.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

// The manager obeys each line: what a node calls itself must not make one.
func TestTheServiceManagerGetsOnlyItsAssignments(t *testing.T) {
	listener := manager(t)
	for _, hostile := range []string{
		"x\nMAINPID=1", "x\r\nWATCHDOG=trigger", "\nREADY=1", "x\x00MAINPID=1", "x\u2028STOPPING=1", "x\u0085FDSTORE=1",
		"\x1b[2Jx", "\xff\xfe\nREADY=1", "\u202egnp", strings.Repeat("ä", 5000) + "\nREADY=1",
	} {
		var n notifier
		n.send("STATUS=" + view.StatusLine(&peers.Snapshot{View: peers.View{Lease: peers.Claiming, Waiting: "no answer from " + hostile}}))
		got := received(t, listener)
		if !strings.HasPrefix(got, "STATUS=waiting: no answer from ") || strings.ContainsAny(got, "\n\r\x00\x1b\u2028\u0085\u202e") || !utf8.ValidString(got) || len(got) > 600 {
			t.Errorf("%.40q: the manager got %.80q (%d bytes)", hostile, got, len(got))
		}
	}
	var n notifier
	n.send("READY=1", "STATUS=lease\nMAINPID=1")
	if got := received(t, listener); got != "READY=1\nSTATUS=lease MAINPID=1" {
		t.Errorf("got %q", got)
	}
}
