// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/nftables/expr"

	"flanneld/internal/host/nft/nfttest"
)

func testConfig() Config {
	return Config{Network: netip.MustParsePrefix("10.244.0.0/16"), Lease: netip.MustParsePrefix("10.244.7.0/24"), Device: "flannel0"}
}

func withPaths() Config {
	c := testConfig()
	c.Tunnels, c.Direct, c.Masquerade = []string{"flannel.1", "flannel.ipip"}, "eth0", true
	return c
}

// translations are what the rules of a chain do at last.
func translations(rules [][]expr.Any) (all []string) {
	for _, rule := range rules {
		words := []string{}
		for _, e := range rule {
			switch e := e.(type) {
			case *expr.NAT:
				words = append(words, fmt.Sprintf("snat random=%t", e.FullyRandom))
			case *expr.Masq:
				words = append(words, fmt.Sprintf("masquerade random=%t", e.FullyRandom))
			case *expr.Verdict:
				words = append(words, fmt.Sprint("verdict ", e.Kind))
			case *expr.Immediate:
				words = append(words, fmt.Sprint(netip.AddrFrom4([4]byte(e.Data))))
			}
		}
		all = append(all, strings.Join(words, " "))
	}
	return all
}

func TestNothingIsMasqueradedWithoutBeingAsked(t *testing.T) {
	const enter = "10.244.7.0 snat random=true"
	keep := []string{"snat random=false", "snat random=false"}
	plain := append(slices.Clone(keep), enter)
	asked := append(slices.Clone(keep), fmt.Sprint("verdict ", expr.VerdictReturn), "masquerade random=true", enter)
	masquerade := testConfig()
	masquerade.Masquerade = true
	for name, c := range map[string]struct {
		config Config
		want   []string
	}{
		"plain":         {testConfig(), plain},
		"--ip-masq":     {masquerade, asked},
		"paths as well": {withPaths(), append(slices.Clone(asked), enter)},
	} {
		content := c.config.content(false, nil)
		if len(content.Chains) != 1 || !content.Chains[0].NAT || content.Chains[0].Priority != 90 {
			t.Fatalf("%s: chains %+v", name, content.Chains)
		}
		if got := translations(content.Chains[0].Rules); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A chain that sees every packet is there only for a dockerd that needs it.
func TestPacketsAreMarkedOnlyForDocker(t *testing.T) {
	if n := len(withPaths().content(false, nil).Chains); n != 1 {
		t.Errorf("%d chains without Docker's table", n)
	}
	for _, c := range []struct {
		config Config
		rules  int
	}{{testConfig(), 1}, {withPaths(), 2}} {
		chains := c.config.content(true, nil).Chains
		if len(chains) != 2 || chains[1].NAT || chains[1].Priority <= -310 || chains[1].Priority >= -300 || len(chains[1].Rules) != c.rules {
			t.Errorf("%+v", chains)
		}
	}
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range withPaths().content(true, nil).Sets[0].Keys {
			if !yield(strings.TrimRight(name, "\x00")) {
				return
			}
		}
	})
	if !slices.Equal(names, []string{"flannel.1", "flannel.ipip", "flannel0"}) {
		t.Errorf("devices %q", names)
	}
}

// testPacket is the first one of a connection that leaves for another host's
// container.
func testPacket(iif, kind, from, oif string) *nfttest.Packet {
	network := make([]byte, 20)
	copy(network[12:], netip.MustParseAddr(from).AsSlice())
	copy(network[16:], netip.MustParseAddr("10.244.8.2").AsSlice())
	return &nfttest.Packet{In: iif, Kind: kind, Out: oif, Network: network, Transport: make([]byte, 20)}
}

// Containers of other bridges enter by the host's address in the overlay, by
// whichever path. What comes from other hosts does only with --ip-masq.
func TestWhatEntersTheOverlay(t *testing.T) {
	for _, c := range []struct {
		name, iif, kind string
		entersPlain     bool
	}{
		{"a container of another bridge", "br-1", "bridge", true},
		{"the underlay device", "br-underlay", "bridge", false},
		{"a bridge that leads to other hosts", "br-lan", "bridge", false},
		{"another network card", "eth1", "", false},
	} {
		for _, oif := range []string{"flannel0", "flannel.1", "br-underlay"} {
			for _, masquerade := range []bool{false, true} {
				config := withPaths()
				config.Direct, config.Underlay, config.Masquerade = "br-underlay", "br-underlay", masquerade
				content := config.content(false, []string{"br-lan"})
				p := testPacket(c.iif, c.kind, "172.30.0.2", oif)
				nfttest.Run(t, content, "postrouting", p)
				var want netip.Addr
				if c.entersPlain || masquerade {
					want = config.Lease.Addr()
				}
				if p.Source != want {
					t.Errorf("by %s to %s, masquerade %t: becomes %v, want %v", c.name, oif, masquerade, p.Source, want)
				}
			}
		}
	}
}
