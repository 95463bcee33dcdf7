// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package shortcut

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"flanneld/internal/host/link/linktest"
)

// Before Linux 6.6 there is only one thing to test.
func TestMain(m *testing.M) {
	flag.Parse()
	if !haveTCX() {
		_ = flag.Set("test.run", "^TestStateSaysWhetherTheKernelHasTCX$")
	}
	linktest.Main(m)
}

// A kernel without tcx is no problem, and status names what is missing.
func TestStateSaysWhetherTheKernelHasTCX(t *testing.T) {
	if err := mountBPF(); err != nil { // for this namespace alone
		t.Fatal(err)
	}
	linktest.Script(t, `
		ip link add eth0 type veth peer name eth1
		ip tuntap add dev flannel0 mode tun`)
	linktest.Teardown(t, "ip link delete eth0", "ip link delete flannel0")
	p := NewPart("flannel0")
	p.Want(&Config{Device: "flannel0", Underlay: "eth0", Lease: testPeer(1).Prefix, Endpoint: testPeer(1).Endpoint, MTU: 1472})
	p.Update(nil, nil)
	if _, err := p.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := p.State()
	if haveTCX() != s.Ready || !s.Ready && !strings.Contains(s.Why, "Linux 6.6") {
		t.Errorf("the kernel has tcx: %t, but the state is %+v", haveTCX(), s)
	}
	if err := p.Remove(t.Context()); err != nil {
		t.Error(err)
	}
	if present := p.Present(); present != nil {
		t.Errorf("left behind: %q", present)
	}
}

// Two hosts, each with a container. No daemon reads flannel0: what programs
// leave to user space is lost, and shows.
//
//	[c1] 10.244.1.2 -- docker0 [h1] eth0 192.0.2.1 ---- 192.0.2.2 eth0 [h2] docker0 -- 10.244.2.2 [c2]
const hostTopology = `
	ip netns add hN
	ip netns add cN
	ip -n hN link set lo up
	ip -n cN link set lo up
	ip -n hN tuntap add dev flannel0 mode tun
	ip -n hN link set flannel0 mtu 1472 up
	ip -n hN address add 10.244.N.0/32 dev flannel0
	ip -n hN route add 10.244.0.0/16 dev flannel0
	ip -n hN link add docker0 type bridge
	ip -n hN address add 10.244.N.1/24 dev docker0
	ip -n hN link set docker0 mtu 1472 up
	ip -n hN link add port type veth peer name eth0 netns cN
	ip -n hN link set port mtu 1472 master docker0 up
	ip -n cN link set eth0 mtu 1472 up
	ip -n cN address add 10.244.N.2/24 dev eth0
	ip -n cN route add default via 10.244.N.1
	ip netns exec hN sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0
`

const wireTopology = `
	ip -n h1 link add eth0 type veth peer name eth0 netns h2
	ip -n h1 address add 192.0.2.1/24 dev eth0
	ip -n h2 address add 192.0.2.2/24 dev eth0
	ip -n h1 link set eth0 up
	ip -n h2 link set eth0 up
`

// end is one host with its part.
type end struct {
	name   string
	n      int
	part   *Part
	config Config
}

// twoHosts sets up the hosts and their short-cuts. Each has the other as a peer
// that takes packets.
func twoHosts(t testing.TB) [2]*end {
	t.Helper()
	return hostsOn(t, func() { linktest.Script(t, wireTopology) })
}

// hostsOn sets them up on any underlay.
func hostsOn(t testing.TB, underlay func()) (hosts [2]*end) {
	t.Helper()
	if err := mountBPF(); err != nil { // for this namespace alone
		t.Fatal(err)
	}
	for n := 1; n <= 2; n++ {
		linktest.Script(t, strings.ReplaceAll(hostTopology, "N", fmt.Sprint(n)))
		name := fmt.Sprint("h", n)
		t.Cleanup(func() {
			linktest.Try("ip netns delete " + name)
			linktest.Try("ip netns delete " + strings.Replace(name, "h", "c", 1))
		})
	}
	underlay()
	for i := range hosts {
		hosts[i] = newHost(t, i+1)
	}
	linktest.Run(t, "ip netns exec h1 ping -q -c 1 -W 2 192.0.2.2") // neighbors
	return hosts
}

func newHost(t testing.TB, n int) *end {
	t.Helper()
	h := &end{name: fmt.Sprint("h", n), n: n, part: NewPart("flannel0"), config: Config{
		Device: "flannel0", Underlay: "eth0", MTU: 1472,
		Lease:    netip.MustParsePrefix(fmt.Sprintf("10.244.%d.0/24", n)),
		Endpoint: netip.MustParseAddrPort(fmt.Sprintf("192.0.2.%d:8285", n)),
	}}
	h.part.Want(&h.config)
	h.part.Update([]Peer{h.peer()}, nil)
	h.ensure(t)
	t.Cleanup(func() {
		linktest.In(t, h.name, func() error { return h.part.Remove(context.Background()) })
	})
	return h
}

// peer is the route to the other host.
func (h *end) peer() Peer {
	other := 3 - h.n
	return Peer{
		Prefix:   netip.MustParsePrefix(fmt.Sprintf("10.244.%d.0/24", other)),
		Endpoint: netip.MustParseAddrPort(fmt.Sprintf("192.0.2.%d:8285", other)),
		Send:     true,
	}
}

// ensure ensures the part, which has to be ready then.
func (h *end) ensure(t testing.TB) (changes []string) {
	t.Helper()
	linktest.In(t, h.name, func() (err error) {
		changes, err = h.part.Ensure(t.Context())
		return err
	})
	if s := h.part.State(); !s.Ready {
		t.Fatalf("%s is not ready: %s", h.name, s.Why)
	}
	return changes
}
