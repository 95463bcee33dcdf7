// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"log/slog"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/host/underlay"
	"flanneld/internal/plan/plantest"
	"flanneld/internal/problem"
	"flanneld/internal/underlaywatch"
	"flanneld/internal/view"
	"flanneld/peers"
)

// Without a key the gossip is open to every host that reaches it.
func TestWithoutAKeyPublicAddressesAreRefused(t *testing.T) {
	for _, c := range []struct {
		addr, public string
		key          string
		insecure, ok bool
	}{
		{"192.168.1.1", "192.168.1.1", "", false, true},
		{"10.0.0.1", "10.0.0.1", "", false, true},
		{"172.31.0.1", "172.31.0.1", "", false, true},
		{"127.0.0.1", "127.0.0.1", "", false, true},
		{"169.254.7.7", "169.254.7.7", "", false, true},
		{"172.32.0.1", "172.32.0.1", "", false, false},
		{"100.64.0.1", "100.64.0.1", "", false, true}, // behind a carrier's NAT
		{"100.127.255.1", "100.127.255.1", "", false, true},
		{"198.18.0.1", "198.18.0.1", "", false, true}, // test network
		{"100.63.0.1", "100.63.0.1", "", false, false},
		{"100.128.0.1", "100.128.0.1", "", false, false},
		{"198.20.0.1", "198.20.0.1", "", false, false},
		{"198.51.100.1", "198.51.100.1", "", false, false},
		{"198.51.100.1", "192.168.1.1", "", false, false},
		{"192.168.1.1", "198.51.100.1", "", false, false},
		{"198.51.100.1", "198.51.100.1", "", true, true},
		{"198.51.100.1", "198.51.100.1", "/key", false, true},
	} {
		d := &daemon{
			cfg: config.Config{KeyFile: c.key, Insecure: c.insecure},
		}
		err := d.checkExposure(underlay.Underlay{Addr: netip.MustParseAddr(c.addr), PublicAddr: netip.MustParseAddr(c.public)})
		if (err == nil) != c.ok {
			t.Errorf("%+v: got %v", c, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "--key-file") || !strings.Contains(err.Error(), "--insecure")) {
			t.Errorf("%v: does not say what to do", err)
		}
	}
}

func TestEverySettingReachesPeers(t *testing.T) {
	d := &daemon{
		cfg: config.Config{
			Network: network, SubnetLen: 25, SubnetMin: netip.MustParseAddr("10.244.1.0"), SubnetMax: netip.MustParseAddr("10.244.2.0"),
			Subnet: netip.MustParsePrefix("10.244.1.0/25"), Join: []string{"x"}, Sources: []config.Source{{Kind: config.SourceSRV, Argument: "example.org"}, {Kind: config.SourceExec, Argument: "list"}}, Port: 1, GossipPort: 2, NodeName: "n",
			StateDir: "/s", LeaseTTL: 3, KeyFile: "/k", Sealed: true, OnConflict: config.Wait,
			StaticPeers: []config.StaticPeer{{Subnet: netip.MustParsePrefix("10.244.9.0/24"), Endpoint: netip.MustParseAddrPort("192.0.2.9:8285")}},
		},
		itself: []config.StaticPeer{{Subnet: netip.MustParsePrefix("10.244.8.0/24"), Endpoint: netip.MustParseAddrPort("192.0.2.1:8285")}},
		log:    slog.New(slog.DiscardHandler), mtu: 1400,
	}
	here := underlay.Underlay{Addr: netip.MustParseAddr("192.0.2.1"), PublicAddr: netip.MustParseAddr("198.51.100.1")}
	d.watch = underlaywatch.New(underlaywatch.Config{Here: here})
	c := reflect.ValueOf(d.peersConfig())
	for i := range c.NumField() {
		name := c.Type().Field(i).Name
		if c.Field(i).IsZero() && name != "Election" && name != "PinWaits" { // only where one source has it
			t.Errorf("%s is not set", name)
		}
	}
	if got := d.peersConfig(); got.OnConflict != peers.Wait || len(got.Sources) != 2 || got.Bind != here.Addr || got.Advertise != here.PublicAddr {
		t.Errorf("got %+v", got)
	}
}

// systemd and the log, too, are told what to type about dead nodes in the way.
func TestStatusLineNamesTheDeadThatAreWaitedFor(t *testing.T) {
	s := plantest.Snapshot(peers.Claiming, plantest.Node("dead-id", peers.Dead, 2), plantest.Node("other", peers.Alive, 3))
	s.Waiting = "no answer from host-dead-id"
	s.Ballot = &peers.Ballot{Electors: 2, Needed: 2, Missing: []peers.NodeID{plantest.ID("dead-id"), plantest.ID("other")}}
	var log strings.Builder
	d := &daemon{log: slog.New(slog.NewTextHandler(&log, nil)), problems: problem.NewBoard(slog.New(slog.DiscardHandler))}
	d.tell(s)
	for _, text := range []string{view.StatusLine(s), log.String()} {
		if !strings.Contains(text, "flanneld forget "+plantest.Key("dead-id")) || strings.Contains(text, "forget "+plantest.Key("other")) || strings.Count(strings.TrimSpace(text), "\n") > 0 {
			t.Errorf("got %q", text)
		}
	}
}

// A claim that goes from subnet to subnet waits for the same all the time.
func TestWhatIsWaitedForIsLoggedOnce(t *testing.T) {
	var log strings.Builder
	d := &daemon{log: slog.New(slog.NewTextHandler(&log, nil)), problems: problem.NewBoard(slog.New(slog.DiscardHandler))}
	for _, waiting := range []string{"1 of 5 promised 10.0.1.0/24; no answer from c", "", "2 of 5 promised 10.0.44.0/24; no answer from c", "no answer from d", "1 of 5 promised 10.0.2.0/24; no answer from c"} {
		d.tell(&peers.Snapshot{View: peers.View{Lease: peers.Claiming, Waiting: waiting}})
	}
	if n := strings.Count(log.String(), "msg=waiting"); n != 2 {
		t.Errorf("logged %d times:\n%s", n, log.String())
	}
	d.tell(plantest.Snapshot(peers.Confirmed))
	d.tell(&peers.Snapshot{View: peers.View{Lease: peers.Lost, Waiting: "no answer from d"}})
	if n := strings.Count(log.String(), "msg=waiting"); n != 3 {
		t.Errorf("after a lease it was logged %d times:\n%s", n, log.String())
	}
}

func TestCleanupRefusesBesideADaemon(t *testing.T) {
	dir := t.TempDir()
	c := config.Config{RunDir: dir, Device: "flannel-none"}
	s, err := control.Listen(c.SocketPath(), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.SubnetPath(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Cleanup(c); err == nil || !strings.Contains(err.Error(), "running") || !strings.Contains(err.Error(), c.SocketPath()) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(c.SubnetPath()); err != nil {
		t.Errorf("something was removed all the same: %v", err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// A confirmed lease does not make a node well that cannot write down its
// promises.
func TestStateThatCannotBeWrittenIsAProblem(t *testing.T) {
	d := &daemon{problems: problem.NewBoard(slog.New(slog.DiscardHandler))}
	d.cfg.StateDir = "/var/lib/flanneld"
	for _, why := range []string{"no space left on device", "read-only file system"} {
		d.reportState(&peers.Snapshot{View: peers.View{Lease: peers.Confirmed}, Unwritten: "state directory /var/lib/flanneld: " + why})
		found := d.problems.All()
		if len(found) != 1 || found[0].Part != "state" || !strings.Contains(found[0].Text, why) || !strings.Contains(found[0].Advice, "df /var/lib/flanneld") {
			t.Errorf("%s: %+v", why, found)
		}
	}
	d.reportState(&peers.Snapshot{View: peers.View{Lease: peers.Confirmed}})
	if found := d.problems.All(); len(found) != 0 {
		t.Errorf("afterwards: %+v", found)
	}
}
