package daemon

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/underlay"
	"flanneld/peers"
	"flanneld/route"
)

func TestTotalsOutliveForwarders(t *testing.T) {
	first := route.Counters{
		Egress:  route.Direction{Volume: route.Volume{Packets: 2, Bytes: 200}, Drops: []route.Drop{{Reason: route.NoRoute, Packets: 3}, {Reason: route.TooShort}}},
		Ingress: route.Direction{Volume: route.Volume{Packets: 5, Bytes: 500}, Drops: []route.Drop{{Reason: route.ForeignSource, Packets: 7}}},
	}
	second := route.Counters{Egress: route.Direction{Drops: []route.Drop{{Reason: route.ForeignSource, Packets: 1}, {Reason: route.NoRoute, Packets: 1}}}}
	var sum totals
	sum.add(first)
	got := sum.with(second)
	want := totals{
		egress: control.Traffic{Packets: 2, Bytes: 200}, ingress: control.Traffic{Packets: 5, Bytes: 500},
		drops: map[string]uint64{"egress-no-route": 4, "egress-foreign-source": 1, "ingress-foreign-source": 7},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if sum.drops["egress-no-route"] != 3 {
		t.Errorf("with changed the sum: %+v", sum)
	}
}

// Without a key the gossip is open to whoever reaches it.
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
		{"100.64.0.1", "100.64.0.1", "", false, false},
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

func TestRunDirectoryIsMadeOrNamed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	for range 2 {
		if err := makeRunDir(dir); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := makeRunDir(file); err == nil || !strings.Contains(err.Error(), "--run-dir") || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
}

func TestEverySettingReachesPeers(t *testing.T) {
	d := &daemon{
		cfg: config.Config{
			Network: network, SubnetLen: 25, SubnetMin: netip.MustParseAddr("10.244.1.0"), SubnetMax: netip.MustParseAddr("10.244.2.0"),
			Subnet: netip.MustParsePrefix("10.244.1.0/25"), Join: []string{"x"}, Port: 1, GossipPort: 2, NodeName: "n",
			StateDir: "/s", LeaseTTL: 3, KeyFile: "/k", OnConflict: config.Wait,
			StaticPeers: []config.StaticPeer{{Subnet: netip.MustParsePrefix("10.244.9.0/24"), Endpoint: netip.MustParseAddrPort("192.0.2.9:8285")}},
		},
		log: slog.New(slog.DiscardHandler), mtu: 1400,
		underlay: underlay.Underlay{Addr: netip.MustParseAddr("192.0.2.1"), PublicAddr: netip.MustParseAddr("198.51.100.1")},
	}
	c := reflect.ValueOf(d.peersConfig())
	for i := range c.NumField() {
		if c.Field(i).IsZero() {
			t.Errorf("%s is not set", c.Type().Field(i).Name)
		}
	}
	if got := d.peersConfig(); got.OnConflict != peers.Wait || got.Bind != d.underlay.Addr || got.Advertise != d.underlay.PublicAddr {
		t.Errorf("got %+v", got)
	}
}

func TestStatusLineSaysWhatCounts(t *testing.T) {
	for want, s := range map[string]*peers.Snapshot{
		"lease 10.244.1.0/24, 2 of 3 nodes alive": self(peers.Confirmed, node("b", peers.Alive, 2), node("c", peers.Dead, 3)),
		"waiting: no seed answers":                {Lease: peers.Joining, Waiting: "no seed answers"},
		"lease: claiming":                         {Lease: peers.Claiming},
	} {
		if got := statusLine(s); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestMembersAndConflictsAreShown(t *testing.T) {
	s := self(peers.Confirmed, node("b", peers.Alive, 2), node("c", peers.Suspect, 3), node("d", peers.Dead, 4), node("e", peers.Left, 5))
	s.Conflicts = []peers.Conflict{{Prefix: netip.MustParsePrefix("10.244.2.0/24"), Winner: "b", Loser: "c"}}
	static, err := config.ParseStaticPeer("10.244.4.0/24=192.0.2.9:8285")
	if err != nil {
		t.Fatal(err)
	}
	list := []config.StaticPeer{static}
	if got, want := members(s, list), (control.Members{Alive: 2, Suspect: 1, Dead: 1, Left: 1, Static: 1}); got != want {
		t.Errorf("members: got %+v, want %+v", got, want)
	}
	got := conflicts(s, list)
	if len(got) != 2 || got[0].Winner.Name != "host-b" || got[0].Loser.Name != "host-c" {
		t.Fatalf("conflicts: %+v", got)
	}
	if got[1].Winner.Name != "host-d" || got[1].Loser.Name != "192.0.2.9" || !strings.Contains(got[1].Note, "--static-peer") {
		t.Errorf("conflict with a static peer: %+v", got[1])
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
