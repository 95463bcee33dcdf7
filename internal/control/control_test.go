// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryRequestIsAnswered(t *testing.T) {
	d := &fake{}
	path, _ := serve(t, d)
	c, ctx := NewClient(path), t.Context()

	if s, err := c.Status(ctx); err != nil || s.Version != "1.2.3" || s.Drops["no-route"] != 3 {
		t.Errorf("status: %+v, %v", s, err)
	}
	if n, err := c.Nodes(ctx); err != nil || len(n.Nodes) != 1 || n.Nodes[0].Subnet.String() != "10.244.7.0/24" {
		t.Errorf("nodes: %+v, %v", n, err)
	}
	a := netip.MustParseAddr("10.244.9.2")
	if r, err := c.Route(ctx, a); err != nil || r.Address != a || r.Kind != RouteNone {
		t.Errorf("route: %+v, %v", r, err)
	}
	if j, err := c.Join(ctx, []string{"host1", "192.0.2.1:9"}); err != nil || !reflect.DeepEqual(j.Joined, d.joined) || len(d.joined) != 2 {
		t.Errorf("join: %+v, %v", j, err)
	}
	if l, err := c.Leave(ctx); err != nil || l.Subnet.String() != "10.244.7.0/24" {
		t.Errorf("leave: %+v, %v", l, err)
	}
	if n, err := c.Forget(ctx, "beta"); err != nil || n.Name != "beta" {
		t.Errorf("forget: %+v, %v", n, err)
	}
	request := PingRequest{Node: "beta", Path: "vxlan", Count: 3, Size: 1450}
	if p, err := c.Ping(ctx, request); err != nil || p.Node.Name != "beta" || !reflect.DeepEqual(p.Paths, []PingedPath{{Path: "vxlan", Sent: 3, Largest: 1450}}) {
		t.Errorf("ping: %+v, %v", p, err)
	}
	if e, err := c.Examine(ctx); err != nil || e.Of != 70 || len(e.Nodes) != 1 || e.Nodes[0].ClockAhead != -1.5 {
		t.Errorf("examine: %+v, %v", e, err)
	}
	request.Count = 21
	for _, setting := range []string{ShortcutAuto, ShortcutOff} {
		if s, err := c.Shortcut(ctx, ShortcutRequest{Setting: setting}); err != nil || s.Setting != setting {
			t.Errorf("short-cut: %+v, %v", s, err)
		}
	}
	if _, err := c.Shortcut(ctx, ShortcutRequest{Setting: "on"}); err == nil || err.Error() != `setting "on": neither auto nor off` {
		t.Errorf("short-cut: %v", err)
	}
	if _, err := c.Ping(ctx, request); err == nil || err.Error() != "count 21: not from 1 to 20" {
		t.Errorf("ping: %v", err)
	}
}

func TestARefusalArrivesAsOneLine(t *testing.T) {
	path, _ := serve(t, &fake{refuse: errors.New("node beta is alive:\nstop it first")})
	_, err := NewClient(path).Forget(t.Context(), "beta")
	if err == nil || err.Error() != "node beta is alive:; stop it first" {
		t.Errorf("got %v", err)
	}
}

func TestNoDaemonIsSaidWithHowToStartOne(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	for _, path := range []string{filepath.Join(dir, "none.sock"), stale} {
		_, err := NewClient(path).Status(t.Context())
		want := "no flanneld answers on " + path + ": start it with `systemctl start flanneld` or `flanneld run`"
		if !errors.Is(err, ErrNoDaemon) || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// What has taken the socket's place is named: to start a daemon would not help.
func TestWhatIsInTheSocketsPlaceIsNamed(t *testing.T) {
	dir := t.TempDir()
	file, sub := filepath.Join(dir, "file.sock"), filepath.Join(dir, "dir.sock")
	if err := os.WriteFile(file, []byte("no socket"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, sub} {
		_, err := NewClient(path).Status(t.Context())
		if !errors.Is(err, ErrNoDaemon) || !strings.Contains(err.Error(), path+", which is no socket: move it away") {
			t.Errorf("got %v", err)
		}
	}
}

func TestTheSocketIsForOwnerAndGroupAndGoesAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flanneld.sock")
	s, err := Listen(path, &fake{}, discard())
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o660 {
		t.Errorf("mode %v, %v; want a socket 0660", info.Mode(), err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestAStaleSocketIsReplacedALiveOneIsNot(t *testing.T) {
	path, _ := serve(t, &fake{})
	if _, err := Listen(path, &fake{}, discard()); err == nil || !strings.Contains(err.Error(), "another flanneld answers on "+path) {
		t.Errorf("beside a live daemon: got %v", err)
	}
	if _, err := NewClient(path).Status(t.Context()); err != nil {
		t.Errorf("the live daemon was disturbed: %v", err)
	}

	stale := filepath.Join(t.TempDir(), "flanneld.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	s, err := Listen(stale, &fake{}, discard())
	if err != nil {
		t.Fatalf("after a killed daemon: %v", err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNoSocketIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flanneld.sock")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path, &fake{}, discard()); err == nil || !strings.Contains(err.Error(), "is no socket: move it away") {
		t.Errorf("got %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Errorf("the file now holds %q", b)
	}
}

func TestTooLongAPathIsExplained(t *testing.T) {
	path := "/" + strings.Repeat("x", maxSocketPath)
	if _, err := Listen(path, &fake{}, discard()); err == nil || !strings.Contains(err.Error(), "shorter --run-dir") {
		t.Errorf("got %v", err)
	}
}

func TestShutdownLetsALeaveFinish(t *testing.T) {
	d := &fake{started: make(chan struct{}), finish: make(chan struct{})}
	path, s := serve(t, d)
	left := make(chan error, 1)
	go func() {
		_, err := NewClient(path).Leave(context.Background())
		left <- err
	}()
	<-d.started
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(context.Background()) }()
	close(d.finish)
	if err := <-left; err != nil {
		t.Errorf("leave: %v", err)
	}
	if err := <-down; err != nil {
		t.Errorf("shut down: %v", err)
	}
}

func TestWhoMayCall(t *testing.T) {
	owner := socketOwner{uid: 0, gid: 50}
	for _, c := range []struct {
		from caller
		self int
		ok   bool
	}{
		{caller{uid: 0, gids: []int{0}}, 0, true},
		{caller{uid: 0, gids: []int{0}}, 990, true},
		{caller{uid: 990, gids: []int{990}}, 990, true},
		{caller{uid: 1000, gids: []int{1000}}, 0, false},
		{caller{uid: 1000, gids: []int{1000, 50}}, 0, true},
		{caller{uid: 1000, gids: []int{50}}, 0, true},
	} {
		if err := c.from.admit(c.self, owner); (err == nil) != c.ok {
			t.Errorf("%+v, daemon %d: got %v, want admitted %v", c.from, c.self, err, c.ok)
		}
	}
}
