// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"flanneld/internal/host/pathrules"
	"flanneld/internal/plan"
	"flanneld/internal/underlaywatch"
	"flanneld/peers"
	"flanneld/route"
)

// onEthernet is an idle daemon with a backend on an underlay that has
// neighbors.
func onEthernet(t testing.TB, backend string) *daemon {
	t.Helper()
	var log strings.Builder
	d := idle(t, &log, map[string][]string{"backend": {backend}})
	d.loopback = false
	return d
}

// The devices, rules and probes of kernel paths follow the backend list.
func TestDevicesOfKernelPathsFollowTheBackend(t *testing.T) {
	lease, network := netip.MustParsePrefix("10.244.7.0/24"), netip.MustParsePrefix("10.244.0.0/16")
	for _, c := range []struct {
		backend string
		tunnels []string
		rules   [3]bool // vxlan, ipip, direct
		probed  bool
	}{
		{"udp", nil, [3]bool{}, false},
		{"auto", []string{"flannel.1"}, [3]bool{true, false, true}, true},
		{"host-gw", nil, [3]bool{false, false, true}, true},
		{"ipip,vxlan", []string{"flannel.1", "flannel.ipip"}, [3]bool{true, true, false}, true},
	} {
		d := onEthernet(t, c.backend)
		paths := d.pathConfig(lease, network)
		if err := paths.Validate(); err != nil {
			t.Errorf("%s: %v", c.backend, err)
		}
		if got := tunnels(paths); !reflect.DeepEqual(got, c.tunnels) {
			t.Errorf("%s: tunnels %q, want %q", c.backend, got, c.tunnels)
		}
		r := d.pathRules(paths)
		if got := [3]bool{r.VXLAN, r.IPIP, r.Direct}; got != c.rules {
			t.Errorf("%s: rules for vxlan, ipip, direct %v, want %v", c.backend, got, c.rules)
		}
		kernel := d.pathsKernel(paths)
		if kernel == nil || (kernel.SetChecksumOffload != nil) != c.probed || (kernel.Traffic != nil) != c.probed {
			t.Errorf("%s: kernel paths are proven with %+v; are there any: %t", c.backend, kernel, c.probed)
		}
	}
}

// On a loopback underlay there is no kernel path to any other host.
func TestLoopbackHasNoKernelPaths(t *testing.T) {
	var log strings.Builder
	d := idle(t, &log, map[string][]string{"backend": {"auto"}})
	paths := d.pathConfig(netip.MustParsePrefix("10.244.7.0/24"), netip.MustParsePrefix("10.244.0.0/16"))
	if tunnels(paths) != nil || d.direct() || d.pathsKernel(paths) != nil || d.pathRules(paths).Wants() {
		t.Errorf("got %+v", paths)
	}
}

// A node that announces another address than its own is not on the segment.
func TestPublicAddressHasNoDirectPath(t *testing.T) {
	d := onEthernet(t, "auto")
	if why := d.pathUnavailable(plan.PathDirect); why != "" {
		t.Errorf("direct is not available: %s", why)
	}
	here := at("127.0.0.1")
	here.PublicAddr = netip.MustParseAddr("198.51.100.7")
	d.watch = underlaywatch.New(underlaywatch.Config{Options: d.underlayOptions(), Here: here, MTU: d.mtu, Mover: mover{d}, Problems: d.problems, Log: d.log})
	if why := d.pathUnavailable(plan.PathDirect); !strings.Contains(why, "--public-ip") {
		t.Errorf("direct: %q", why)
	}
	if why := d.pathUnavailable(plan.PathVXLAN); why != "" {
		t.Errorf("vxlan is not available: %s", why)
	}
}

// A route of an earlier start stays until its path is used or has failed.
func TestRouteOfAnEarlierStartStaysWhileItIsUndecided(t *testing.T) {
	d := onEthernet(t, "auto")
	r := plan.Route{
		Prefix: netip.MustParsePrefix("10.244.2.0/24"), Kind: route.Via, Path: plan.PathUDP, Endpoint: netip.MustParseAddrPort("192.0.2.2:8285"), MTU: 1450,
		Candidates: []plan.Candidate{
			{Path: plan.PathDirect, Possible: true},
			{Path: plan.PathVXLAN, Possible: true, Port: 8472, MAC: plan.MACOf(peers.NodeID{1})},
			{Path: plan.PathUDP, Possible: true, Used: true},
		},
	}
	if got := d.pathPeer(r); got.Path != "" || !got.VXLAN || got.Port != 8472 || got.MTU != 1450 || got.MAC == nil {
		t.Errorf("without an earlier start: %+v", got)
	}
	for _, inherited := range []plan.Path{plan.PathDirect, plan.PathVXLAN} {
		d.inherited.routes = map[netip.Prefix]plan.Path{r.Prefix: inherited}
		if got := d.pathPeer(r); got.Path != string(inherited) {
			t.Errorf("inherited %s: %+v", inherited, got)
		}
	}
	r.Candidates[1].Possible = false
	if got := d.pathPeer(r); got.Path != "" {
		t.Errorf("a path that this host or the peer has no more stays: %+v", got)
	}
	r.Candidates[1].Possible, r.Candidates[1].State = true, plan.Failed
	if got := d.pathPeer(r); got.Path != "" {
		t.Errorf("a path that has failed stays: %+v", got)
	}
	r.Path, r.Candidates[0] = plan.PathDirect, plan.Candidate{Path: plan.PathDirect, Possible: true, Used: true, State: plan.Proven}
	if got := d.pathPeer(r); got.Path != "direct" {
		t.Errorf("the proven path is not used: %+v", got)
	}
}

// A peer may send by each path that it takes itself, whichever this host uses.
// Where its VXLAN device is, only the daemons may send.
func TestPeerMaySendByThePathsThatItTakes(t *testing.T) {
	r := plan.Route{
		Prefix: netip.MustParsePrefix("10.244.2.0/24"), Kind: route.Via, Path: plan.PathUDP, Endpoint: netip.MustParseAddrPort("192.0.2.2:8285"),
		Arrivals: []plan.Arrival{{Path: plan.PathIPIP}, {Path: plan.PathVXLAN, Port: 4789}},
	}
	got := onEthernet(t, "ipip,vxlan,udp").sender(r)
	want := pathrules.Peer{Prefix: r.Prefix, Endpoint: r.Endpoint.Addr(), VXLAN: true, Port: 4789, IPIP: true}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
