// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"net/netip"
	"strings"
	"testing"
)

var (
	network = netip.MustParsePrefix("10.244.0.0/16")
	lease   = netip.MustParsePrefix("10.244.7.0/24")
)

func TestPoolsAreTheRestOfTheLease(t *testing.T) {
	rest := Rest(lease, prefixes("10.244.7.1/27"))
	got, n, err := Pools(rest, 27, 1472, true, APIUnprotected)
	want := `{
  "default-address-pools": [
    {
      "base": "10.244.7.32/27",
      "size": 27
    },
    {
      "base": "10.244.7.64/26",
      "size": 27
    },
    {
      "base": "10.244.7.128/25",
      "size": 27
    }
  ],
  "default-network-opts": {
    "bridge": {
      "com.docker.network.bridge.gateway_mode_ipv4": "nat-unprotected",
      "com.docker.network.driver.mtu": "1472"
    }
  }
}
`
	if err != nil || string(got) != want || n != 7 {
		t.Errorf("%d networks, %v:\n%s", n, err, got)
	}
	if stale := StalePools(got, network, lease, 1472); stale != nil {
		t.Errorf("just made, and %q", stale)
	}
	for name, c := range map[string]struct {
		size       int
		masquerade bool
		api        API
		networks   int
		words, not []string
	}{
		"smaller ones are passed over": {26, true, APIUnprotected, 3, []string{"10.244.7.64/26"}, []string{"10.244.7.32/27"}},
		"Docker 24 to 27":              {25, true, APINetworkOpts, 1, []string{"1472"}, []string{"unprotected", "masquerade"}},
		"Docker 20.10":                 {25, false, APIOldest, 1, []string{"10.244.7.128/25"}, []string{"network-opts"}},
		"flanneld masquerades":         {25, false, APIUnprotected, 1, []string{`"com.docker.network.bridge.enable_ip_masquerade": "false"`, "unprotected"}, nil},
	} {
		got, n, err := Pools(rest, c.size, 1472, c.masquerade, c.api)
		if err != nil || n != c.networks {
			t.Errorf("%s: %d networks, %v", name, n, err)
		}
		for _, word := range c.words {
			if !strings.Contains(string(got), word) {
				t.Errorf("%s: no %q in %s", name, word, got)
			}
		}
		for _, word := range c.not {
			if strings.Contains(string(got), word) {
				t.Errorf("%s: %q in %s", name, word, got)
			}
		}
	}
	for _, size := range []int{0, 24, 31, 32} {
		if got, _, err := Pools(rest, size, 1472, true, APIOldest); err == nil {
			t.Errorf("/%d: %s", size, got)
		}
	}
}

func TestPoolsOfAnotherLeaseAreStale(t *testing.T) {
	for content, want := range map[string][]string{
		``:           nil,
		`{`:          nil,
		`[]`:         nil,
		`{"bip": 5}`: nil,
		`{"log-level":"info","bip":"172.17.0.1/16"}`: nil,
		`{"bip":"10.244.7.1/25"}`:                    nil,
		`{"bip":"10.244.9.1/24"}`:                    {"bip 10.244.9.1/24 is not in the lease 10.244.7.0/24"},
		`{"bip":"10.244.0.1/16"}`:                    {"bip 10.244.0.1/16"},
		`{"default-address-pools":[{"base":"172.30.0.0/16","size":24},{"base":"fd00::/64","size":80}],"default-network-opts":{"bridge":{"com.docker.network.driver.mtu":"1500"}}}`: nil,
		`{"default-address-pools":[{"base":"10.244.7.128/25","size":27}],"default-network-opts":{"bridge":{"com.docker.network.driver.mtu":"1472"}}}`:                              nil,
		`{"default-address-pools":[{"base":"10.244.7.128/25","size":27}],"default-network-opts":{"bridge":{"com.docker.network.driver.mtu":"1450"}}}`:                              nil,
		`{"default-address-pools":[{"base":"10.244.7.128/25","size":27}],"default-network-opts":{"bridge":{"com.docker.network.driver.mtu":"1500"}}}`:                              {"MTU of 1500"},
		`{"default-address-pools":[{"base":"10.244.9.128/25","size":27},{"base":"10.0.0.0/8","size":24}],"default-network-opts":7}`:                                                {"10.244.9.128/25", "10.0.0.0/8"},
	} {
		got := StalePools([]byte(content), network, lease, 1472)
		if len(got) != len(want) {
			t.Errorf("%s: %q", content, got)
			continue
		}
		for i, word := range want {
			if !strings.Contains(got[i], word) {
				t.Errorf("%s: no %q in %q", content, word, got[i])
			}
		}
	}
}

func TestVersionsOfDockerAreCompared(t *testing.T) {
	for version, want := range map[string]API{"28.5.2+dfsg4": 48, "29": 48, "27.5.1": 43, "24.0.0": 43, "23.0.1": 41, "20.10.24+dfsg1": 41, "19.03.8": 0, "new": 0, "": 0} {
		if got, err := APIOfEngine(version); got != want || (err != nil) != (want == 0) {
			t.Errorf("%s: %v, %v", version, got, err)
		}
	}
	for version, want := range map[string]API{"1.41": 41, "1.57": 57, "2.0": 0, "": 0, "1.": 0, "1.-4": 0} {
		if got, err := ParseAPI(version); got != want || (err != nil) != (want == 0) || err == nil && got.String() != version {
			t.Errorf("%s: %v, %v", version, got, err)
		}
	}
}

func FuzzStalePools(f *testing.F) {
	f.Add([]byte(`{"bip":"10.244.9.1/24","default-address-pools":[{"base":"10.244.9.128/25","size":27}],"default-network-opts":{"bridge":{"com.docker.network.driver.mtu":"1500"}}}`))
	f.Add([]byte(`{"default-address-pools":null,"default-network-opts":[]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, s := range StalePools(content, network, lease, 1472) {
			if s == "" || strings.Contains(s, "\n") {
				t.Errorf("%q", s)
			}
		}
	})
}

func FuzzBIP(f *testing.F) {
	f.Add([]byte(`DOCKER_OPTS=" --bip=10.244.7.1/24 --ip-masq=true"`))
	f.Fuzz(func(t *testing.T, content []byte) {
		if p, ok := BIP(content); ok && !p.IsValid() {
			t.Errorf("%q: %v", content, p)
		}
	})
}
