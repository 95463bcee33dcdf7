// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// good has, for each setting, values that are taken and are not its default.
var good = map[string][]string{
	"network": {"10.0.0.0/8"}, "subnet-len": {"20"}, "subnet-min": {"10.244.2.0"}, "subnet-max": {"10.244.9.0"}, "subnet": {"10.244.7.0/24"},
	"join": {"host1", "192.0.2.1:9000", "srv:example.org", "exec:list a,b | sort"}, "iface": {"eth0", "192.0.2.7"}, "iface-regex": {"^eth[0-9]{1,2}$"}, "iface-can-reach": {"192.0.2.9"},
	"public-ip": {"198.51.100.4"}, "backend": {"vxlan,udp"}, "shortcut": {"off"}, "vxlan-port": {"4789"}, "vxlan-vni": {"7"}, "port": {"1"}, "gossip-port": {"65535"},
	"node-name": {"alpha"}, "state-dir": {"/s"}, "run-dir": {"/r"}, "subnet-file": {"/f"}, "docker-file": {"/d"}, "docker-key": {"OPTIONS"},
	"docker-part": {"2/4"}, "docker-config": {"/dd"},
	"device": {"fl1"}, "mtu": {"1400"}, "ip-masq": {"true"}, "lease-ttl": {"90m"}, "key-file": {"/k"}, "insecure": {"true"}, "allow-overlap": {"true"},
	"static-peer": {"10.244.9.0/24=192.0.2.9:8285", "10.244.8.0/24=192.0.2.8:1"}, "lanes": {"4"}, "realtime": {"off"}, "offload": {"udp-gso,udp-gro"},
	"on-conflict": {"wait"}, "sealed": {"true"}, "log-level": {"debug"}, "log-format": {"json"}, "metrics": {"127.0.0.1:8287"},
}

// loadOne loads one setting from its flag and from its variable.
func loadOne(t *testing.T, s Setting, flags, variable []string) (Config, error) {
	t.Helper()
	var given map[string][]string
	if len(flags) > 0 {
		given = map[string][]string{s.Name: flags}
	}
	return Load(given, func(name string) (string, bool) {
		if name != s.Variable() || len(variable) == 0 {
			return "", false
		}
		return strings.Join(variable, ","), true
	})
}

// Whatever can be given as a flag can be given as a variable, and means the
// same. A flag wins, so that a variable that makes no sense hinders nothing.
func TestFlagAndVariableMeanTheSame(t *testing.T) {
	none, err := load(t, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range Settings() {
		values, ok := good[s.Name]
		if !ok {
			t.Errorf("no value for --%s in this test", s.Name)
			continue
		}
		byFlag, err := loadOne(t, s, values, nil)
		if err != nil {
			t.Errorf("--%s: %v", s.Name, err)
			continue
		}
		byVariable, err := loadOne(t, s, nil, values)
		if err != nil {
			t.Errorf("%s: %v", s.Variable(), err)
		}
		over, err := loadOne(t, s, values, []string{"\x01 no value of any setting"})
		if err != nil {
			t.Errorf("--%s over a variable that makes no sense: %v", s.Name, err)
		}
		byFlag.origin, byVariable.origin, over.origin = nil, nil, nil
		if !reflect.DeepEqual(byFlag, byVariable) || !reflect.DeepEqual(byFlag, over) {
			t.Errorf("--%s: as a flag %+v, as a variable %+v, as both %+v", s.Name, byFlag, byVariable, over)
		}
		none.origin = nil
		if reflect.DeepEqual(byFlag, none) {
			t.Errorf("--%s changes nothing", s.Name)
		}
	}
	if len(good) != len(Settings()) {
		t.Errorf("%d settings, values for %d", len(Settings()), len(good))
	}
}

// A default is what is typed for it.
func TestDefaultsCanBeTyped(t *testing.T) {
	want, err := load(t, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want.origin = nil
	for _, s := range Settings() {
		if s.Default == "" {
			continue
		}
		got, err := loadOne(t, s, []string{s.Default}, nil)
		got.origin = nil
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("--%s %s: %+v, %v", s.Name, s.Default, got, err)
		}
		if s.List {
			t.Errorf("--%s is a list with a default: the help cannot show that", s.Name)
		}
	}
}

func TestTableOfSettingsIsSound(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Settings() {
		if seen[s.Name] || seen[s.Variable()] {
			t.Errorf("--%s is there twice", s.Name)
		}
		seen[s.Name], seen[s.Variable()] = true, true
		if strings.ToLower(s.Name) != s.Name || strings.ContainsAny(s.Variable(), "- ") || !strings.HasPrefix(s.Variable(), "FLANNELD_") {
			t.Errorf("--%s, %s", s.Name, s.Variable())
		}
		if s.Help == "" || strings.HasSuffix(s.Help, ".") || strings.Contains(s.Help, "\n") {
			t.Errorf("--%s: help %q", s.Name, s.Help)
		}
		if s.Switch() && s.Default != "false" {
			t.Errorf("--%s is a switch that is on by itself", s.Name)
		}
		if found, ok := Lookup(s.Name); !ok || found.Help != s.Help {
			t.Errorf("--%s is not found", s.Name)
		}
	}
	if _, ok := Lookup("no-such-setting"); ok {
		t.Error("found a setting that is none")
	}
	Settings()[0].Name = "spoilt"
	if Settings()[0].Name == "spoilt" {
		t.Error("the table is handed out itself")
	}
}

// The least and the greatest value are taken, and the next ones are not.
func TestNumbersHaveBounds(t *testing.T) {
	for _, c := range []struct {
		name           string
		low, high      string // taken
		below, above   string // refused
		more           string // what else has to be given
		beyond, beside string // refused too
	}{
		{"port", "1", "65535", "0", "65536", "", "-1", "1.5"},
		{"gossip-port", "1", "65535", "0", "65536", "", "0x1", ""},
		{"vxlan-port", "1", "65535", "0", "65536", "", "http", " 1"},
		{"vxlan-vni", "1", "16777215", "0", "16777216", "", "1e3", "99999999999999999999"},
		{"mtu", "576", "65507", "575", "65508", "", "1_500", "1500 bytes"},
		{"lanes", "1", "64", "0", "65", "", "Auto", "two"},
		{"subnet-len", "18", "30", "17", "31", "", "/24", "24 "},
		{"subnet-len", "1", "30", "0", "31", "join=host1", "-8", ""}, // the network is not known
		{"lease-ttl", "1s", "8760h", "999ms", "1e9h", "", "24", "-24h"},
	} {
		var more []string
		if c.more != "" {
			more = []string{c.more}
		}
		for _, value := range []string{c.low, c.high} {
			if _, err := load(t, append(more, c.name+"="+value), nil); err != nil {
				t.Errorf("%s=%s: %v", c.name, value, err)
			}
		}
		for _, value := range []string{c.below, c.above, c.beyond, c.beside} {
			if _, err := load(t, append(more, c.name+"="+value), nil); err == nil {
				t.Errorf("%s=%q is taken", c.name, value)
			}
		}
	}
}

// Two files in one place would overwrite each other, however their paths are
// written.
func TestFilesHavePlacesOfTheirOwn(t *testing.T) {
	for flags, want := range map[string]string{
		"docker-file=/run/flannel//subnet.env":                      "is the file of --subnet-file",
		"docker-file=/a/../f subnet-file=/f":                        "is the file of --subnet-file",
		"subnet-file=/run/flannel/docker":                           "is the file of --subnet-file",
		"subnet-file=/run/flannel/./flanneld.sock":                  "is the control socket",
		"docker-file=/r/flanneld.sock run-dir=/r":                   "is the control socket",
		"docker-file=flanneld.sock run-dir=. subnet-file=x":         "is the control socket",
		"docker-file=/f subnet-file=/g":                             "",
		"docker-file=/run/flannel/flanneld.sock run-dir=/run/other": "",
	} {
		_, err := load(t, strings.Fields(flags), nil)
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", flags, err, want)
		}
	}
}

// A range that holds no subnet of any network is refused before the network is
// known.
func TestEmptyRangeIsRefusedWithoutANetwork(t *testing.T) {
	_, err := load(t, []string{"join=host1", "subnet-min=10.9.7.0", "subnet-max=10.9.6.0"}, nil)
	if err == nil || !strings.Contains(err.Error(), "--subnet-max 10.9.6.0: lies below --subnet-min 10.9.7.0") {
		t.Errorf("got %v", err)
	}
	if _, err := load(t, []string{"join=host1", "subnet-min=10.9.7.0", "subnet-max=10.9.7.0"}, nil); err != nil {
		t.Errorf("a range of one subnet: %v", err)
	}
}

// Whatever stands in a value, an error is one line for a log.
func TestErrorsAreOneLine(t *testing.T) {
	for _, s := range Settings() {
		for _, value := range []string{"a\nb\x1b[2J", "\xff\xfe", "10.244.9.0/24=\n", strings.Repeat("x", 5000), "\u202e10.0.0.0/8", "(\n"} {
			_, err := loadOne(t, s, []string{value}, nil)
			if err == nil {
				continue // a path or a pattern can be anything
			}
			var fault *Error
			if !errors.As(err, &fault) {
				t.Errorf("--%s %q: %T", s.Name, value, err)
			}
			text := err.Error()
			if len(text) > 600 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u202e' || r == '\ufffd' }) {
				t.Errorf("--%s %.20q: %q", s.Name, value, text)
			}
		}
	}
}

// ranges are settings about subnets, drawn so that some fit.
type ranges struct {
	network   netip.Prefix // zero: not given
	bits      int          // 0: not given
	low, high netip.Addr
	pin       netip.Prefix
}

func drawRanges(t *rapid.T) ranges {
	addr := func(name string) netip.Addr {
		return netip.AddrFrom4([4]byte{10, rapid.SampledFrom([]byte{0, 1, 244}).Draw(t, name), rapid.SampledFrom([]byte{0, 1, 2, 8}).Draw(t, name), rapid.SampledFrom([]byte{0, 0, 64, 128}).Draw(t, name)})
	}
	var r ranges
	if rapid.Bool().Draw(t, "with network") {
		r.network = netip.PrefixFrom(addr("network"), rapid.SampledFrom([]int{7, 8, 16, 22, 24, 28, 29}).Draw(t, "length")).Masked()
	}
	if rapid.Bool().Draw(t, "with subnet-len") {
		r.bits = rapid.SampledFrom([]int{10, 18, 24, 25, 26, 30}).Draw(t, "subnet-len")
	}
	if rapid.IntRange(0, 2).Draw(t, "with min") == 0 {
		r.low = addr("min")
	}
	if rapid.IntRange(0, 2).Draw(t, "with max") == 0 {
		r.high = addr("max")
	}
	if rapid.IntRange(0, 2).Draw(t, "with pin") == 0 {
		r.pin = netip.PrefixFrom(addr("pin"), rapid.SampledFrom([]int{24, 25, 26, 30, 31}).Draw(t, "pin length")).Masked()
	}
	return r
}

// sound is what the settings mean, written down anew: the subnets of the
// network, less its first, are cut by min and max. The pin is one of them, or
// the first.
func (r ranges) sound() bool {
	network, bits := r.network, r.bits
	if !network.IsValid() {
		network = DefaultNetwork
	}
	if bits == 0 {
		bits = max(24, network.Bits()+2)
	}
	whole := func(a netip.Addr) bool {
		return network.Contains(a) && netip.PrefixFrom(a, bits).Masked().Addr() == a
	}
	handedOut := func(a netip.Addr) bool { return whole(a) && a != network.Addr() }
	switch {
	case network.Bits() < 8 || network.Bits() > 28 || bits < network.Bits()+2:
		return false
	case r.low.IsValid() && !handedOut(r.low), r.high.IsValid() && !handedOut(r.high):
		return false
	case r.low.IsValid() && r.high.IsValid() && r.high.Less(r.low):
		return false
	case !r.pin.IsValid():
		return true
	}
	a := r.pin.Addr()
	return r.pin.Bits() == bits && whole(a) && !(r.low.IsValid() && a.Less(r.low)) && !(r.high.IsValid() && r.high.Less(a))
}

func TestRangesAreTakenWhereTheyMakeSense(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRanges(t)
		flags := map[string][]string{}
		give := func(name string, given bool, value fmt.Stringer) {
			if given {
				flags[name] = []string{value.String()}
			}
		}
		give("network", r.network.IsValid(), r.network)
		give("subnet-min", r.low.IsValid(), r.low)
		give("subnet-max", r.high.IsValid(), r.high)
		give("subnet", r.pin.IsValid(), r.pin)
		if r.bits != 0 {
			flags["subnet-len"] = []string{fmt.Sprint(r.bits)}
		}
		c, err := Load(flags, func(string) (string, bool) { return "", false })
		if (err == nil) != r.sound() {
			t.Fatalf("%v: %v, makes sense: %t", flags, err, r.sound())
		}
		var fault *Error
		if err != nil && (!errors.As(err, &fault) || flags[strings.TrimPrefix(fault.Source, "--")] == nil) {
			t.Fatalf("%v: %v names no setting that was given", flags, err)
		}
		if err == nil && (c.Network != r.network || c.Subnet != r.pin) {
			t.Fatalf("%v became %+v", flags, c)
		}
	})
}

// Static peers of one list have subnets apart, whatever their order.
func TestStaticPeersAreApart(t *testing.T) {
	all := []string{
		"10.244.9.0/24=192.0.2.9:8285", "10.244.9.128/25=192.0.2.8:8285", "10.244.8.0/23=192.0.2.7:8285", "10.244.10.0/24=192.0.2.9:8285", "10.244.11.0/30=192.0.2.6:1",
	}
	for i, first := range all {
		for j, second := range all {
			a, errA := ParseStaticPeer(first)
			b, errB := ParseStaticPeer(second)
			if errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
			_, err := load(t, []string{"static-peer=" + first + "," + second}, nil)
			if (err != nil) != a.Subnet.Overlaps(b.Subnet) {
				t.Errorf("%d and %d: %v", i, j, err)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "--static-peer "+second) {
				t.Errorf("%v does not name the second", err)
			}
		}
	}
}

// FuzzLoad gives lines of NAME=VALUE as flags. Errors name one setting on one
// line; what is taken holds together.
func FuzzLoad(f *testing.F) {
	for name, values := range good {
		f.Add(name + "=" + strings.Join(values, "\n"+name+"="))
	}
	f.Add("network=10.0.0.0/24\nsubnet-len=26\nsubnet=10.0.0.64/26\nstatic-peer=10.0.0.128/26=192.0.2.9:8285")
	f.Add("backend=auto\nvxlan-port=8285\nstatic-peer=10.244.9.0/24=vxlan:192.0.2.9/02:00:00:00:00:09")
	f.Add("node-name=a\x00b\ndevice=..\nport=8286")
	f.Fuzz(func(t *testing.T, text string) {
		flags := map[string][]string{}
		for line := range strings.SplitSeq(text, "\n") {
			if name, value, ok := strings.Cut(line, "="); ok {
				if _, known := Lookup(name); known {
					flags[name] = append(flags[name], value)
				}
			}
		}
		c, err := Load(flags, func(string) (string, bool) { return "", false })
		if err != nil {
			var fault *Error
			if !errors.As(err, &fault) || strings.ContainsAny(err.Error(), "\n\x00\x1b") || !strings.HasPrefix(fault.Source, "--") {
				t.Errorf("%q: %v", flags, err)
			}
			return
		}
		ports := []uint16{c.Port, c.GossipPort}
		if c.Uses(PathVXLAN) {
			ports = append(ports, c.VXLANPort)
		}
		slices.Sort(ports)
		if len(slices.Compact(slices.Clone(ports))) != len(ports) || ports[0] == 0 {
			t.Errorf("%q: ports %d", flags, ports)
		}
		if c.Lanes < 1 || c.Lanes > maxLanes || c.LeaseTTL < minLeaseTTL || c.MTU != 0 && c.MTU < minMTU || CheckDevice(c.Device) != nil || len(c.Backend) == 0 {
			t.Errorf("%q: %+v", flags, c)
		}
		if c.Network.IsValid() && c.Subnet.IsValid() && (!c.Network.Contains(c.Subnet.Addr()) || c.Subnet.Bits() != c.SubnetLenOf(c.Network)) {
			t.Errorf("%q: pin %s in %s", flags, c.Subnet, c.Network)
		}
		for _, p := range c.StaticPeers {
			if p.Way().Kernel() && !c.Uses(p.Path) || p.Path == PathVXLAN && p.Endpoint.Port() == 0 {
				t.Errorf("%q: %v", flags, p)
			}
		}
	})
}
