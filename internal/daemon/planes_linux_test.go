// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/dataplane"
	"flanneld/internal/host/guard"
	"flanneld/internal/host/ruleset"
	"flanneld/internal/host/underlay"
	"flanneld/internal/plan/plantest"
	"flanneld/internal/problem"
	"flanneld/internal/underlaywatch"
	"flanneld/peers"
)

func at(addr string) underlay.Underlay {
	a := netip.MustParseAddr(addr)
	return underlay.Underlay{Interface: "lo", Addr: a, PublicAddr: a, MTU: 1500}
}

// freePort is a UDP port that no program uses.
func freePort(t testing.TB) string {
	t.Helper()
	c, err := net.ListenUDP("udp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return strconv.Itoa(c.LocalAddr().(*net.UDPAddr).Port)
}

// idle is a daemon on loopback with a node that does not run. It needs no
// rights.
func idle(t testing.TB, log *strings.Builder, flags map[string][]string) *daemon {
	t.Helper()
	all := map[string][]string{"state-dir": {t.TempDir()}, "run-dir": {t.TempDir()}, "device": {"flannel-none"}, "port": {freePort(t)}}
	for name, values := range flags {
		all[name] = values
	}
	c, err := config.Load(all, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.NewTextHandler(log, nil))
	d := &daemon{
		events: newEvents(slog.New(slog.DiscardHandler)),
		cfg:    c, version: "v", log: logger, started: time.Now(), loopback: true, mtu: 1472,
		planes:   planes{settings: dataplane.SettingsOf(c, logger), routes: dataplane.NewRoutes()},
		problems: problem.NewBoard(slog.New(slog.DiscardHandler)),
	}
	d.watch = underlaywatch.New(underlaywatch.Config{
		Options: d.underlayOptions(), Here: at("127.0.0.1"), MTU: d.mtu, Mover: mover{d}, Problems: d.problems, Log: logger,
	})
	if d.node, err = peers.Open(d.peersConfig()); err != nil {
		t.Fatal(err)
	}
	if d.parts, err = newParts(c, nil); err != nil {
		t.Fatal(err)
	}
	d.guard = guard.New(d.parts, ruleset.NewHub(), d.problems, logger)
	t.Cleanup(func() {
		if err := d.node.Close(); err != nil {
			t.Error(err)
		}
		d.planes.sockets.Close()
	})
	return d
}

func TestWithoutAPlaneNothingIsReady(t *testing.T) {
	var p planes
	if p.current() != nil || p.failed() != nil || p.settled() != nil || p.live().Plane != nil || p.live().Monitor != nil {
		t.Errorf("got %+v", p.live())
	}
	var log strings.Builder
	d := idle(t, &log, nil)
	d.closePlane() // there is none
	if err := (mover{d}).Moved(); err != nil {
		t.Errorf("moved: %v", err)
	}
	if all := d.problems.All(); len(all) != 0 {
		t.Errorf("problems %+v", all)
	}
}

func TestSocketsThatAreBoundAreTakenFirst(t *testing.T) {
	var log strings.Builder
	d := idle(t, &log, nil)
	bound, err := d.takeSockets()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.takeSockets(); err == nil || !strings.Contains(err.Error(), "--port") {
		t.Errorf("bound a port twice: %v", err)
	}
	d.planes.sockets = bound
	again, err := d.takeSockets()
	if err != nil || len(again) != len(bound) || again[0] != bound[0] || d.planes.sockets != nil {
		t.Errorf("got %v, %v", again, err)
	}
	d.planes.sockets = again
}

// A move that fails leaves everything as it was.
func TestAMoveThatFailsChangesNothing(t *testing.T) {
	var log strings.Builder
	d := idle(t, &log, nil)
	var err error
	if d.planes.sockets, err = d.takeSockets(); err != nil {
		t.Fatal(err)
	}
	before := d.planes.sockets
	for addr, want := range map[string]string{
		"198.51.100.7": "--key-file",                    // a public address, and no key
		"192.168.99.9": "cannot assign",                 // not this host's
		"127.0.0.1":    "--port",                        // taken, by ourselves
		"127.0.0.2":    peers.ErrNotRunning.Error()[7:], // the node does not run
	} {
		err := (mover{d}).Move(at(addr))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", addr, err, want)
		}
	}
	if len(d.planes.sockets) != len(before) || d.planes.sockets[0] != before[0] {
		t.Error("the sockets were changed")
	}
	free, err := d.planes.settings.Listen(netip.MustParseAddr("127.0.0.2"))
	if err != nil {
		t.Errorf("the sockets of a failed move are still bound: %v", err)
	}
	free.Close()
}

// Only an address that is not there is worth waiting for.
func TestAPlaneIsPostponedWhileTheAddressIsAway(t *testing.T) {
	var log strings.Builder
	d := idle(t, &log, nil)
	if err := d.postpone(fmt.Errorf("bind: %w", syscall.EADDRNOTAVAIL)); err != nil {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(log.String(), "staying at the address in use") {
		t.Errorf("logged %s", log.String())
	}
	final := errors.New("no rights")
	if err := d.postpone(final); !errors.Is(err, final) {
		t.Errorf("got %v", err)
	}
	if err := d.postpone(nil); err != nil {
		t.Errorf("got %v", err)
	}
}

// What the node knows is routed and shown, before there is a plane.
func TestRoutesAreThereBeforeThePlane(t *testing.T) {
	var log strings.Builder
	d := idle(t, &log, map[string][]string{"static-peer": {"10.244.9.0/24=192.0.2.9:8285"}})
	s := plantest.Snapshot(peers.Announcing, plantest.Node("b", peers.Alive, 2), plantest.Node("c", peers.Dead, 3))
	if err := d.route(s); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{"10.244.2.1": "via host-b", "10.244.9.1": "via 192.0.2.9", "10.244.3.1": "via host-c"} {
		next, planned, ok := d.planes.routes.Lookup(netip.MustParseAddr(address))
		if got := next.Kind.String() + " " + planned.Name; !ok || got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
	d.seen.Add(s)
	d.seen.Close()
	if err := d.route(s); err != nil {
		t.Fatal(err)
	}
	if next, _, _ := d.planes.routes.Lookup(netip.MustParseAddr("10.244.3.1")); next.Kind.String() != control.RouteUnreachable {
		t.Errorf("a dead node is %s after the time to see it", next.Kind)
	}
}

func TestAKeyIsReadAgainOnlyWhereThereIsOne(t *testing.T) {
	var log strings.Builder
	d := idle(t, &log, nil)
	if d.reloadKey(); !strings.Contains(log.String(), "there is no --key-file") {
		t.Errorf("logged %s", log.String())
	}
}

// A lease that a static peer has addresses of is reported until that is mended.
func TestAStaticPeerInTheOwnLeaseIsAProblem(t *testing.T) {
	var log strings.Builder
	d := idle(t, &log, map[string][]string{"static-peer": {"10.244.9.0/24=192.0.2.9:8285"}})
	d.reportOwnSubnet(netip.MustParsePrefix("10.244.9.0/24"))
	if all := d.problems.All(); len(all) != 1 || !strings.Contains(all[0].Text, "own lease 10.244.9.0/24") || !strings.Contains(all[0].Advice, "--static-peer") {
		t.Errorf("problems %+v", all)
	}
	if d.reportOwnSubnet(netip.MustParsePrefix("10.244.7.0/24")); len(d.problems.All()) != 0 {
		t.Errorf("problems %+v", d.problems.All())
	}
}
