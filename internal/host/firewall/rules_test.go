// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"errors"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func testConfig(device string) Config {
	return Config{
		Network: netip.MustParsePrefix("10.244.0.0/16"),
		Lease:   netip.MustParsePrefix("10.244.7.0/24"),
		Device:  device,
	}
}

// all is what a new iptables can do.
var all = abilities{randomFully: true, netmap: true}

func TestConfigIsRefusedWhenTheRulesWouldMeanSomethingElse(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no network":           func(c *Config) { c.Network = netip.Prefix{} },
		"network of IPv6":      func(c *Config) { c.Network = netip.MustParsePrefix("fd00::/64") },
		"network with host":    func(c *Config) { c.Network = netip.MustParsePrefix("10.244.1.0/16") },
		"no lease":             func(c *Config) { c.Lease = netip.Prefix{} },
		"lease outside":        func(c *Config) { c.Lease = netip.MustParsePrefix("10.245.7.0/24") },
		"lease above":          func(c *Config) { c.Lease = netip.MustParsePrefix("10.0.0.0/8") },
		"lease with host":      func(c *Config) { c.Lease = netip.MustParsePrefix("10.244.7.1/24") },
		"device wildcard":      func(c *Config) { c.Device = "flannel+" },
		"device with a blank":  func(c *Config) { c.Device = "flannel 0" },
		"device negated":       func(c *Config) { c.Device = "!flannel0" },
		"device too long":      func(c *Config) { c.Device = "flannel012345678" },
		"device without name":  func(c *Config) { c.Device = "" },
		"device with newlines": func(c *Config) { c.Device = "a\nb" },
		"tunnel wildcard":      func(c *Config) { c.Tunnels = []string{"flannel.+"} },
		"underlay wildcard":    func(c *Config) { c.Direct = "eth+" },
		"underlay negated":     func(c *Config) { c.Direct = "!eth0" },
		"underlay blank":       func(c *Config) { c.Direct = "eth 0" },
	} {
		c := testConfig("flannel0")
		change(&c)
		if c.Validate() == nil {
			t.Errorf("%s: accepted %+v", name, c)
		}
	}
	if err := testConfig("flannel0").Validate(); err != nil {
		t.Error(err)
	}
}

func TestChainNameFitsIPTables(t *testing.T) {
	const longest = 28 // XT_EXTENSION_MAXNAMELEN without the zero byte
	if name := chainName(strings.Repeat("d", 15)); len(name) > longest {
		t.Errorf("%s has %d bytes", name, len(name))
	}
}

func TestRulesNameTheDeviceUnlessTheyMasquerade(t *testing.T) {
	c := testConfig("flannel7")
	c.Masquerade = true
	for _, table := range tables(c, all, true) {
		for _, r := range table.rules {
			if strings.Contains(string(r), "ACCEPT") && !strings.Contains(string(r), "flannel7") {
				t.Errorf("%s: %q accepts what has nothing to do with the device", table.name, r)
			}
		}
	}
}

func TestMasqueradingSparesTheOverlay(t *testing.T) {
	c := testConfig("flannel0")
	if rules := natRules(c, all); len(rules) != 1 || strings.Contains(string(rules[0]), "MASQUERADE") {
		t.Errorf("masquerading without being asked: %q", rules)
	}
	c.Masquerade = true
	want := []rule{
		"-s 10.244.7.0/24 -d 10.244.0.0/16 -o flannel0 -j ACCEPT",
		"-s 10.244.7.0/24 -d 224.0.0.0/4 -j RETURN",
		"-s 10.244.7.0/24 ! -d 10.244.0.0/16 -j MASQUERADE",
		"! -s 10.244.0.0/16 -o flannel0 -j SNAT --to-source 10.244.7.0",
	}
	if got := natRules(c, abilities{}); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestKernelPathsHaveTheRulesOfTheDevice(t *testing.T) {
	c := testConfig("flannel0")
	c.Tunnels, c.Direct, c.Masquerade = []string{"flannel.1", "flannel.ipip"}, "eth0", true
	const in, out = "-s 10.244.0.0/16 -d 10.244.7.0/24 -i ", "-s 10.244.7.0/24 -d 10.244.0.0/16 -o "
	const keep = " -j NETMAP --to 10.244.7.0/24"
	want := map[string][]rule{
		"raw": {
			in + "eth0 -m mark --mark 0x1000/0x1000 -j ACCEPT",
			in + "flannel.1 -j ACCEPT", in + "flannel.ipip -j ACCEPT", in + "flannel0 -j ACCEPT",
		},
		"filter": {
			in + "eth0 -m mark --mark 0x1000/0x1000 -j ACCEPT", out + "eth0 -j ACCEPT",
			in + "flannel.1 -j ACCEPT", out + "flannel.1 -j ACCEPT",
			in + "flannel.ipip -j ACCEPT", out + "flannel.ipip -j ACCEPT", in + "flannel0 -j ACCEPT", out + "flannel0 -j ACCEPT",
		},
		"nat": {
			out + "eth0" + keep, out + "flannel.1" + keep, out + "flannel.ipip" + keep, out + "flannel0" + keep,
			"-s 10.244.7.0/24 -d 224.0.0.0/4 -j RETURN",
			"-s 10.244.7.0/24 ! -d 10.244.0.0/16 -j MASQUERADE --random-fully",
			"! -s 10.244.0.0/16 -o flannel0 -j SNAT --to-source 10.244.7.0 --random-fully",
			"! -s 10.244.0.0/16 -o flannel.1 -j SNAT --to-source 10.244.7.0 --random-fully",
			"! -s 10.244.0.0/16 -o flannel.ipip -j SNAT --to-source 10.244.7.0 --random-fully",
			"! -s 10.244.0.0/16 -d 10.244.0.0/16 -o eth0 -j SNAT --to-source 10.244.7.0 --random-fully",
		},
	}
	for _, table := range tables(c, all, false) {
		if !slices.Equal(table.rules, want[table.name]) {
			t.Errorf("%s: %q", table.name, table.rules)
		}
	}
	asked := tables(c, all, true)[1].rules
	if len(asked) != 16 || !strings.Contains(string(asked[0]), "--mark") || !strings.HasSuffix(string(asked[1]), "-j DOCKER-USER") {
		t.Errorf("by DOCKER-USER: %q", asked)
	}
}

func TestJumpsOfSeveralDevicesShareTheFirstPlaces(t *testing.T) {
	const mine, other = "-j FLANNELD-flannel0", "-j FLANNELD-flannel1"
	for _, c := range []struct {
		rules []rule
		first bool
	}{
		{nil, false},
		{[]rule{mine}, true},
		{[]rule{other, mine, "-j DROP"}, true},
		{[]rule{mine, other, "-j DROP"}, true},
		{[]rule{"-j DROP", mine}, false},
		{[]rule{mine, "-j DROP", mine}, false},
		{[]rule{mine, mine}, false},
		{[]rule{other, "-j DROP"}, false},
	} {
		if got := jumpFirst(c.rules, mine); got != c.first {
			t.Errorf("%q: %t, want %t", c.rules, got, c.first)
		}
	}
}

func TestDockerUserIsUsedOnlyWhereEverythingPassesIt(t *testing.T) {
	for _, c := range []struct {
		forward []rule
		used    bool
	}{
		{nil, false},
		{[]rule{"-j DOCKER-USER"}, true},
		{[]rule{"-j FLANNELD-flannel0", "-j DOCKER-USER", "-j DROP"}, true},
		{[]rule{"-j DROP", "-j DOCKER-USER"}, false},
		{[]rule{"-i eth0 -j DOCKER-USER"}, false},
		{[]rule{"-j DOCKER-FORWARD"}, false},
	} {
		if got := beginsWithDocker(c.forward); got != c.used {
			t.Errorf("%q: %t, want %t", c.forward, got, c.used)
		}
	}
}

func TestParseKeepsTheRulesOfOneChain(t *testing.T) {
	lines := []string{"-P FORWARD DROP", "-A FORWARD -j DOCKER-USER ", "-A FORWARD2 -j DROP", `-A FORWARD -m comment --comment "a b" -j ACCEPT`}
	want := []rule{"-j DOCKER-USER", `-m comment --comment "a b" -j ACCEPT`}
	if got := parse(lines, "FORWARD"); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestHostWithoutIPTablesIsTold(t *testing.T) {
	if runtime.GOOS != "linux" {
		if _, err := New(testConfig("flannel0")); !errors.Is(err, ErrPlatform) {
			t.Error(err)
		}
		return
	}
	t.Setenv("PATH", t.TempDir())
	f, err := New(testConfig("flannel0"))
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := f.Ensure(t.Context()); !errors.Is(err, ErrNoIPTables) || changed != nil {
		t.Errorf("Ensure: %q, %v", changed, err)
	}
	if err := Remove(t.Context(), "flannel0"); err != nil {
		t.Errorf("Remove: %v", err)
	}
}

// An iptables -F between writing the rules and reading them back once made the
// empty chain the one to keep.
func TestAChainFlushedWhileItWasWrittenIsNotTakenForRight(t *testing.T) {
	written, printed := []rule{"one", "two"}, []rule{"-m one", "-m two"}
	for _, c := range []struct {
		have, printed []rule
		want          bool
	}{
		{written, nil, true},
		{printed, printed, true},
		{nil, nil, false},
		{nil, []rule{}, false},
		{written[:1], written[:1], false},
		{printed, nil, false},
	} {
		if got := inPlace(c.have, written, c.printed); got != c.want {
			t.Errorf("have %q, read back %q: in place %v", c.have, c.printed, got)
		}
	}
}
