// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/nftables/expr"
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
	keep := []string{"snat random=false", "snat random=false"}
	asked := append(slices.Clone(keep), fmt.Sprint("verdict ", expr.VerdictReturn), "masquerade random=true", "10.244.7.0 snat random=true")
	masquerade := testConfig()
	masquerade.Masquerade = true
	for name, c := range map[string]struct {
		config Config
		want   []string
	}{
		"plain":         {testConfig(), keep},
		"--ip-masq":     {masquerade, asked},
		"paths as well": {withPaths(), append(slices.Clone(asked), "10.244.7.0 snat random=true")},
	} {
		content := c.config.content(false)
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
	if n := len(withPaths().content(false).Chains); n != 1 {
		t.Errorf("%d chains without Docker's table", n)
	}
	for _, c := range []struct {
		config Config
		rules  int
	}{{testConfig(), 1}, {withPaths(), 2}} {
		chains := c.config.content(true).Chains
		if len(chains) != 2 || chains[1].NAT || chains[1].Priority <= -310 || chains[1].Priority >= -300 || len(chains[1].Rules) != c.rules {
			t.Errorf("%+v", chains)
		}
	}
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range withPaths().content(true).Sets[0].Keys {
			if !yield(strings.TrimRight(name, "\x00")) {
				return
			}
		}
	})
	if !slices.Equal(names, []string{"flannel.1", "flannel.ipip", "flannel0"}) {
		t.Errorf("devices %q", names)
	}
}
