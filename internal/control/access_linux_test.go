// SPDX-License-Identifier: Apache-2.0

package control

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The kernel says which user is at the other end.
func TestCallerIsTheUserOfTheOtherEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	got, err := callerOf(conn)
	if err != nil || got.uid != os.Getuid() || len(got.gids) == 0 || got.gids[0] != os.Getgid() {
		t.Errorf("caller %+v, %v", got, err)
	}
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		if !slices.Contains(got.gids, g) {
			t.Errorf("group %d is missing in %v", g, got.gids)
		}
	}
	owner, err := ownerOf(path)
	if err != nil || owner.uid != os.Getuid() {
		t.Errorf("owner %+v, %v", owner, err)
	}
	conn.Close()
	if _, err := callerOf(conn); err == nil {
		t.Error("a connection that is closed has a caller")
	}
}

// Without the socket's file its group is not known: no caller is let in.
func TestCallersOfARemovedSocketAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 2 {
		client, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
	}
	accepted := func() *conn {
		t.Helper()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return c.(*conn)
	}
	c := accepted()
	if c.verdict != nil {
		t.Errorf("refused: %v", c.verdict)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	late := accepted()
	if late.verdict == nil || !strings.Contains(late.verdict.Error(), "no such file") {
		t.Errorf("verdict %v", late.verdict)
	}
	if len(l.slots) != 2 {
		t.Errorf("%d slots are taken", len(l.slots))
	}
	for range 2 { // a slot is given back once
		c.Close()
		late.Close()
	}
	if len(l.slots) != 0 {
		t.Errorf("%d slots are taken after the end", len(l.slots))
	}
}
