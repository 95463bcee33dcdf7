// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"net/netip"
	"strings"
	"testing"

	"flanneld/internal/host/bridge"
	"flanneld/internal/host/fib"
)

// What is said about a detour names what is cut off and what to type.
func TestDetourProblemsSayWhatToType(t *testing.T) {
	detour := func(prefix, device, remove string, table int) fib.Detour {
		return fib.Detour{Prefix: netip.MustParsePrefix(prefix), From: []fib.Origin{{}, {Device: "docker0"}},
			Answer: fib.Answer{Device: device, Table: table, Text: "dev " + device}, Remove: remove}
	}
	for name, c := range map[string]struct {
		detour fib.Detour
		cut    []string
		words  []string
	}{
		"a route":          {detour("10.244.128.0/17", "eth1", "ip route del 10.244.128.0/17 dev eth1", 254), []string{"b (bb)"}, []string{"this host and docker0", "10.244.128.0/17", "flannel0", "eth1", "b (bb)", "ip route del 10.244.128.0/17 dev eth1"}},
		"a Docker network": {detour("10.244.9.0/24", "br-0123456789ab", "", 254), []string{"b"}, []string{"docker network rm 0123456789ab", "outside 10.244.0.0/16"}},
		"docker0, old":     {detour("10.244.9.0/24", "docker0", "", 254), []string{"b"}, []string{"restart docker"}},
		"a table of a VPN": {detour("10.244.0.0/16", "tun0", "", 52), []string{"b"}, []string{"ip rule", "ip route show table 52"}},
		"no answer":        {detour("10.244.0.0/16", "", "", 0), []string{"b"}, []string{"ip rule", "ip route get 10.244.0.1"}},
		"many are cut off": {detour("10.244.0.0/16", "x", "", 1), []string{"a", "b", "c", "d", "e", "f"}, []string{"a, b, c, d, 2 more"}},
	} {
		p := detourProblem(c.detour, "flannel0", netip.MustParsePrefix("10.244.0.0/16"), c.cut)
		for _, word := range c.words {
			if !strings.Contains(p.Text+" "+p.Advice, word) {
				t.Errorf("%s: no %q in %q, %q", name, word, p.Text, p.Advice)
			}
		}
	}
}

func TestNeighborsOfBridgesAreOnTheBridge(t *testing.T) {
	for bridge, want := range map[string]string{
		"10.244.1.1/24": "10.244.1.2", "10.244.1.255/24": "10.244.1.254", "10.244.1.1/31": "", "10.244.1.0/31": "10.244.1.1", "10.244.1.1/32": "",
	} {
		got := ""
		if a := neighborOf(netip.MustParsePrefix(bridge)); a.IsValid() {
			got = a.String()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", bridge, got, want)
		}
	}
}

func TestBeyondABridgeIsAFreshAddressOfItsSubnet(t *testing.T) {
	lease := netip.MustParsePrefix("10.244.7.0/24")
	found := []bridge.Bridge{onBridge("virbr0", true, "192.168.122.1/24"), onBridge("docker0", true, "10.244.7.1/24"), onBridge("br-web", true, "10.244.7.129/25")}
	half := netip.MustParsePrefix("10.244.7.128/25")
	seen := map[netip.Addr]bool{}
	for try := range 100 {
		all := beyond(found, lease, try)
		if len(all) != 2 || all[0].Bridge != "docker0" || all[1].Bridge != "br-web" || !half.Contains(all[1].Addr) {
			t.Fatalf("try %d: %+v", try, all)
		}
		a, name := all[0].Addr, all[0].Bridge
		if !lease.Contains(a) || a == fib.Last(lease) || a.As4()[3] < 128 || seen[a] {
			t.Fatalf("try %d: %s behind %q", try, a, name)
		}
		seen[a] = true
	}
	for _, b := range []string{"10.244.7.1/30", "10.244.8.1/24", "10.244.0.1/16"} {
		if all := beyond([]bridge.Bridge{onBridge("docker0", true, b)}, lease, 1); len(all) > 0 {
			t.Errorf("%s: %+v", b, all)
		}
	}
}

// The command to look with asks for the packets that go astray: those of a
// bridge may go elsewhere than the host's own.
func TestDetoursAreAskedForAsTheyWereFound(t *testing.T) {
	p := netip.MustParsePrefix("10.244.0.0/16")
	source := netip.MustParseAddr("10.244.7.2")
	for want, from := range map[string][]fib.Origin{
		"ip route get 10.244.0.1)":                                         {{}},
		"ip route get 10.244.0.1 from 10.244.7.2 iif docker0)":             {{Device: "docker0", Source: source}},
		"ip route get 10.244.0.1 from 10.244.7.2 iif docker0 mark 0x4000)": {{Device: "docker0", Source: source, Mark: 0x4000}},
	} {
		d := fib.Detour{Prefix: p, From: from}
		if got := detourProblem(d, "flannel0", p, []string{"host2"}).Advice; !strings.HasSuffix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A single address is asked for itself, not the one after it.
func TestDetourOfASingleAddressIsAskedForIt(t *testing.T) {
	for prefix, want := range map[string]string{
		"10.244.9.255/32": "ip route get 10.244.9.255)", "10.244.9.254/31": "ip route get 10.244.9.254)", "10.244.9.252/30": "ip route get 10.244.9.253)",
	} {
		p := netip.MustParsePrefix(prefix)
		if got := detourProblem(fib.Detour{Prefix: p}, "flannel0", p, []string{"host2"}).Advice; !strings.HasSuffix(got, want) {
			t.Errorf("%s: %q, want %q", prefix, got, want)
		}
	}
}

// What is cut off is named in full up to a few, and the list that it came from
// is left as it was.
func TestFewAreNamedOfManyThatAreCutOff(t *testing.T) {
	all := []string{"a", "b", "c", "d", "e", "f"}
	for n, want := range map[int]string{1: "cuts off a", 4: "cuts off a, b, c, d", 5: "cuts off a, b, c, d, 1 more", 6: "cuts off a, b, c, d, 2 more"} {
		p := netip.MustParsePrefix("10.244.0.0/16")
		got := detourProblem(fib.Detour{Prefix: p, From: []fib.Origin{{}}}, "flannel0", p, all[:n])
		if !strings.HasSuffix(got.Text, want) {
			t.Errorf("%d: %q, want %q", n, got.Text, want)
		}
	}
	if strings.Join(all, "") != "abcdef" {
		t.Errorf("the list became %q", all)
	}
}

func TestOriginsAreNamedForPeople(t *testing.T) {
	for want, from := range map[string][]fib.Origin{
		"":                                    nil,
		"this host":                           {{}},
		"docker0":                             {{Device: "docker0"}},
		"this host and docker0 with mark 0x1": {{}, {Device: "docker0", Mark: 1}},
	} {
		if got := fromText(from); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A bridge of a length that leaves no room has nothing behind it, and one that
// holds every address in question is passed over.
func TestBeyondSmallAndFullBridges(t *testing.T) {
	lease := netip.MustParsePrefix("10.244.7.0/24")
	upper := func(own ...string) (string, string) {
		all := beyond([]bridge.Bridge{onBridge("docker0", true, own...)}, lease, 1)
		if len(all) == 0 {
			return "", ""
		}
		return all[0].Addr.String(), all[0].Bridge
	}
	for own, want := range map[string]string{
		"10.244.7.1/29": "10.244.7.5", "10.244.7.1/30": "", "10.244.7.1/31": "", "10.244.7.1/32": "", "10.244.7.129/25": "10.244.7.253",
		"10.244.8.1/24": "", "10.244.7.1/24": "10.244.7.253", "10.244.7.1/23": "",
	} {
		if a, _ := upper(own); a != want {
			t.Errorf("%s: %s, want %s", own, a, want)
		}
	}
	if a, name := upper("10.244.7.253/24"); a != "" {
		t.Errorf("its own address %s is behind %s", a, name)
	}
}

// onBridge is a bridge with addresses.
func onBridge(name string, used bool, addrs ...string) bridge.Bridge {
	b := bridge.Bridge{Name: name}
	if used {
		b.Ports = []string{"veth0"}
	}
	for _, a := range addrs {
		b.Addrs = append(b.Addrs, netip.MustParsePrefix(a))
	}
	return b
}
