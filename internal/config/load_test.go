// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

// load runs Load with flags written as "name=value" and variables likewise.
func load(t *testing.T, flags, environ []string) (Config, error) {
	t.Helper()
	given := map[string][]string{}
	for _, f := range flags {
		name, value, _ := strings.Cut(f, "=")
		if _, ok := Lookup(name); !ok {
			t.Fatalf("the test uses --%s, which is no setting", name)
		}
		given[name] = append(given[name], value)
	}
	return Load(given, func(variable string) (string, bool) {
		for _, e := range environ {
			if name, value, _ := strings.Cut(e, "="); name == variable {
				return value, true
			}
		}
		return "", false
	})
}

func TestDefaultsAreThoseOfTheDesign(t *testing.T) {
	c, err := load(t, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Backend: Backend{PathUDP}, Shortcut: "auto", VXLANPort: 8472, VNI: 1, Port: 8285, GossipPort: 8286, StateDir: "/var/lib/flanneld", RunDir: "/run/flannel", Device: "flannel0",
		DockerKey: "DOCKER_OPTS", DockerConfig: "/etc/docker/daemon.json", LeaseTTL: 24 * time.Hour, Lanes: 1, Realtime: "auto", Offload: Offloads(), OnConflict: "release", LogLevel: slog.LevelInfo, LogFormat: "text",
		origin: map[string]given{},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if c.SubnetPath() != "/run/flannel/subnet.env" || c.DockerPath() != "/run/flannel/docker" || c.SocketPath() != "/run/flannel/flanneld.sock" {
		t.Errorf("paths: %s %s %s", c.SubnetPath(), c.DockerPath(), c.SocketPath())
	}
}

func TestEverySettingIsParsed(t *testing.T) {
	c, err := load(t, []string{
		"network=10.0.0.0/8", "subnet-len=20", "subnet-min=10.1.0.0", "subnet-max=10.200.0.0", "subnet=10.2.16.0/20",
		"join=host1", "join=192.0.2.1:9000, host-2.example.org", "iface=eth0,192.0.2.7", "iface-regex=^eth[0-9]{1,2}$",
		"iface-can-reach=192.0.2.9", "public-ip=198.51.100.4", "backend=vxlan, host-gw", "shortcut=off", "vxlan-port=4789", "vxlan-vni=16777215", "port=1", "gossip-port=65535", "node-name=alpha", "state-dir=/s",
		"run-dir=/r", "subnet-file=/f", "docker-file=/d", "docker-key=DOCKER_NETWORK_OPTIONS", "docker-part=1/1", "docker-config=/dd", "device=fl1", "mtu=1400", "ip-masq=true", "lease-ttl=90m", "key-file=/k", "insecure=true",
		"static-peer=10.9.0.0/24=192.0.2.9:8285", "lanes=4", "realtime=off", "offload=off", "on-conflict=wait", "log-level=debug", "log-format=json", "metrics=[::ffff:192.0.2.1]:8287",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.origin = nil
	want := Config{
		Network: netip.MustParsePrefix("10.0.0.0/8"), SubnetLen: 20, SubnetMin: netip.MustParseAddr("10.1.0.0"),
		SubnetMax: netip.MustParseAddr("10.200.0.0"), Subnet: netip.MustParsePrefix("10.2.16.0/20"),
		Join: []string{"host1", "192.0.2.1:9000", "host-2.example.org"}, Iface: []string{"eth0", "192.0.2.7"},
		IfaceRegex: []string{"^eth[0-9]{1,2}$"}, IfaceCanReach: netip.MustParseAddr("192.0.2.9"),
		PublicIP: netip.MustParseAddr("198.51.100.4"), Backend: Backend{PathVXLAN, PathDirect, PathUDP}, Shortcut: "off", VXLANPort: 4789, VNI: 16777215, Port: 1, GossipPort: 65535, NodeName: "alpha", StateDir: "/s", RunDir: "/r",
		SubnetFile: "/f", DockerFile: "/d", DockerKey: "DOCKER_NETWORK_OPTIONS", DockerConfig: "/dd", Device: "fl1", MTU: 1400, IPMasq: true, LeaseTTL: 90 * time.Minute, KeyFile: "/k", Insecure: true,
		StaticPeers: []StaticPeer{{Subnet: netip.MustParsePrefix("10.9.0.0/24"), Path: PathUDP, Endpoint: netip.MustParseAddrPort("192.0.2.9:8285")}},
		Lanes:       4, Realtime: "off", OnConflict: "wait", LogLevel: slog.LevelDebug, LogFormat: "json",
		Metrics: netip.MustParseAddrPort("192.0.2.1:8287"),
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

// A setting that the table of tests above does not know is not tested.
func TestEverySettingIsReachableThroughFlagAndVariable(t *testing.T) {
	wrong := map[string]string{"iface": ",", "node-name": "a b", "join": "a b", "state-dir": "a\x00", "run-dir": "a\x00", "subnet-file": "a\x00", "docker-file": "a\x00", "docker-config": "a\x00", "key-file": "a\x00", "iface-regex": "("}
	for _, s := range Settings() {
		value, ok := wrong[s.Name]
		if !ok {
			value = "//"
		}
		for source, args := range map[string][2][]string{
			"--" + s.Name: {{s.Name + "=" + value}, nil},
			s.Variable():  {nil, {s.Variable() + "=" + value}},
		} {
			_, err := load(t, args[0], args[1])
			var fault *Error
			if !errors.As(err, &fault) || fault.Source != source || fault.Reason == "" {
				t.Errorf("%s %q: got %v, want an error that names it", source, value, err)
			}
		}
	}
}

func TestFlagWinsOverVariable(t *testing.T) {
	c, err := load(t, []string{"mtu=1400"}, []string{"FLANNELD_MTU=nonsense", "FLANNELD_PORT=8300", "FLANNELD_DEVICE=", "FLANNELD_IP_MASQ= true "})
	if err != nil {
		t.Fatal(err)
	}
	if c.MTU != 1400 || c.Port != 8300 || c.Device != "flannel0" || !c.IPMasq {
		t.Errorf("got mtu %d, port %d, device %q, ip-masq %v", c.MTU, c.Port, c.Device, c.IPMasq)
	}
}

func TestListsFromTheEnvironmentAreCommaSeparated(t *testing.T) {
	c, err := load(t, nil, []string{"FLANNELD_JOIN=a, b:1", "FLANNELD_STATIC_PEER=10.244.9.0/24=192.0.2.9:8285,10.244.10.0/24=192.0.2.10:8285"})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c.Join, []string{"a", "b:1"}) || len(c.StaticPeers) != 2 {
		t.Errorf("got %v and %v", c.Join, c.StaticPeers)
	}
}

func TestUnknownVariablesAreFound(t *testing.T) {
	got := UnknownVariables([]string{"FLANNELD_NETWROK=x", "FLANNELD_NETWORK=y", "FLANNELD_ETCD_PREFIX=z", "FLANNELD_EMPTY=", "HOME=/"})
	if want := []string{"FLANNELD_ETCD_PREFIX", "FLANNELD_NETWROK"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The table's defaults are typed as the user would; the values stand in one
// place.
func TestDefaultsOfTheTableAreTheConstants(t *testing.T) {
	c, err := Load(nil, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	if c.LeaseTTL != DefaultLeaseTTL || c.Port != DefaultPort || c.GossipPort != DefaultGossipPort || c.Device != DefaultDevice || c.StateDir != DefaultStateDir {
		t.Errorf("got %+v", c)
	}
}
