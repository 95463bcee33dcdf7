// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// API is the minor number of a version of Docker's Engine API: 41 is 1.41.
type API int

// Versions of the API in which something was new.
const (
	APIOldest      API = 41 // Docker 20.10: the oldest that is supported
	APINetworkOpts API = 43 // Docker 24: default-network-opts in daemon.json
	APIUnprotected API = 48 // Docker 28: gateway mode nat-unprotected
)

// ParseAPI reads a version such as 1.41.
func ParseAPI(text string) (API, error) {
	minor, ok := strings.CutPrefix(text, "1.")
	n, err := strconv.ParseUint(minor, 10, 16)
	if !ok || err != nil {
		return 0, fmt.Errorf("docker: %.40q is no version of the Engine API", text)
	}
	return API(n), nil
}

// String is such as 1.41.
func (a API) String() string { return fmt.Sprintf("1.%d", int(a)) }

// engines are the major versions of Docker that brought a version of the API
// which makes a difference here.
var engines = []struct {
	major int
	api   API
}{{28, APIUnprotected}, {24, APINetworkOpts}, {20, APIOldest}}

// APIOfEngine returns what a version of Docker, such as 28.5.2, speaks at
// least.
func APIOfEngine(version string) (API, error) {
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.ParseUint(major, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("docker: %.40q is no version of Docker such as 28.5", version)
	}
	for _, e := range engines {
		if int(n) >= e.major {
			return e.api, nil
		}
	}
	return 0, fmt.Errorf("docker: Docker %.40s is too old: 20.10 is the oldest that is supported", version)
}

// Keys of Docker's bridge driver.
const (
	OptionBridge      = "com.docker.network.bridge.name"
	OptionMTU         = "com.docker.network.driver.mtu"
	OptionMasquerade  = "com.docker.network.bridge.enable_ip_masquerade"
	OptionGatewayMode = "com.docker.network.bridge.gateway_mode_ipv4"
	// Unprotected has Docker neither drop what comes to a container by another
	// device than its bridge, nor what goes to a port that is not published.
	Unprotected = "nat-unprotected"
)

// NetworkOptions are the options of a network over the lease. masquerade
// reports whether Docker masquerades what leaves the overlay network.
func NetworkOptions(mtu int, masquerade bool, api API) map[string]string {
	options := map[string]string{OptionMTU: strconv.Itoa(mtu), OptionMasquerade: strconv.FormatBool(masquerade)}
	if api >= APIUnprotected {
		options[OptionGatewayMode] = Unprotected
	}
	return options
}

// pool is an entry of default-address-pools.
type pool struct {
	Base netip.Prefix `json:"base"`
	Size int          `json:"size"`
}

// settings is what of daemon.json concerns the lease.
type settings struct {
	Pools       []pool                       `json:"default-address-pools,omitempty"`
	NetworkOpts map[string]map[string]string `json:"default-network-opts,omitempty"`
}

// bridgeDriver is the key of the bridge driver in default-network-opts.
const bridgeDriver = "bridge"

// Pools returns what daemon.json has to hold so that Docker makes networks
// from these parts of the lease, each with a prefix of that length. Smaller
// parts are passed over. networks is how many there can be.
func Pools(parts []netip.Prefix, size, mtu int, masquerade bool, api API) (content []byte, networks int, err error) {
	if size > maxPartBits || size < 1 {
		return nil, 0, fmt.Errorf("docker: no network can have a prefix of %d bits: /%d is the smallest", size, maxPartBits)
	}
	var s settings
	for _, p := range parts {
		if p.Bits() <= size {
			s.Pools = append(s.Pools, pool{p, size})
			networks += 1 << (size - p.Bits())
		}
	}
	if networks == 0 {
		return nil, 0, fmt.Errorf("docker: nothing is left of the lease that has room for a /%d", size)
	}
	if api >= APINetworkOpts {
		options := NetworkOptions(mtu, masquerade, api)
		if masquerade { // Docker's default
			delete(options, OptionMasquerade)
		}
		s.NetworkOpts = map[string]map[string]string{bridgeDriver: options}
	}
	content, err = json.MarshalIndent(s, "", "  ")
	return append(content, '\n'), networks, err
}

// StalePools returns what in the content of daemon.json does not fit the lease,
// one sentence each. What has nothing to do with the network is passed over, as
// is content that Docker refuses.
func StalePools(content []byte, network, lease netip.Prefix, mtu int) (stale []string) {
	var s struct {
		BIP         string          `json:"bip"`
		Pools       []pool          `json:"default-address-pools"`
		NetworkOpts json.RawMessage `json:"default-network-opts"`
	}
	if err := json.Unmarshal(content, &s); err != nil {
		return nil
	}
	if p, err := netip.ParsePrefix(s.BIP); err == nil && network.Overlaps(p) && !within(lease, p) {
		stale = append(stale, fmt.Sprintf("bip %s is not in the lease %s", p, lease))
	}
	ours := false
	for _, p := range s.Pools {
		switch {
		case !p.Base.IsValid() || !network.Overlaps(p.Base):
		case !within(lease, p.Base):
			stale = append(stale, fmt.Sprintf("default-address-pools has %s, which is not in the lease %s", p.Base, lease))
		default:
			ours = true
		}
	}
	var options map[string]map[string]string
	if json.Unmarshal(s.NetworkOpts, &options) != nil || !ours && len(stale) == 0 {
		return stale
	}
	if n, err := strconv.Atoi(options[bridgeDriver][OptionMTU]); err == nil && n > mtu {
		stale = append(stale, fmt.Sprintf("default-network-opts has an MTU of %d, and the overlay device has %d", n, mtu))
	}
	return stale
}

// within reports whether a lease holds all of a prefix.
func within(lease, p netip.Prefix) bool { return lease.Bits() <= p.Bits() && lease.Contains(p.Addr()) }

// BIP finds the value of --bip in the content of a Docker file.
func BIP(content []byte) (netip.Prefix, bool) {
	_, after, found := strings.Cut(string(content), "--bip=")
	end := strings.IndexAny(after, " \"'\n\t")
	if !found || end < 0 {
		return netip.Prefix{}, false
	}
	p, err := netip.ParsePrefix(after[:end])
	return p, err == nil
}
