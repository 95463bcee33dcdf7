// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package link

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"flanneld/internal/host/link/linktest"
)

func TestMain(m *testing.M) { linktest.Main(m) }

// overlay makes a persistent multi-queue TUN as package tun does.
func overlay(t *testing.T) {
	t.Helper()
	linktest.Script(t, `
		ip tuntap add dev flannel0 mode tun multi_queue
		ip link set flannel0 alias flanneld`)
	t.Cleanup(func() { linktest.Try("ip link delete flannel0") })
}

func ensure(t *testing.T, c Config) []string {
	t.Helper()
	changed, err := Ensure(c)
	if err != nil {
		t.Fatal(err)
	}
	if off, err := Check(c); err != nil || len(off) > 0 {
		t.Fatalf("Check after Ensure: %q, %v", off, err)
	}
	if again, err := Ensure(c); err != nil || len(again) > 0 {
		t.Fatalf("Ensure is not idempotent: %q, %v", again, err)
	}
	return changed
}

func TestFreshDeviceIsSetUpWhole(t *testing.T) {
	overlay(t)
	c := testConfig()
	c.TxQueueLen = 1000
	ensure(t, c)
	if got := linktest.Run(t, "ip route show dev flannel0"); strings.Join(strings.Fields(got), " ") != "10.244.0.0/16 proto static src 10.244.7.0" &&
		strings.Join(strings.Fields(got), " ") != "10.244.0.0/16 proto static src 10.244.7.0 linkdown" {
		t.Errorf("routes: %s", got)
	}
	if got := linktest.Run(t, "ip -brief addr show dev flannel0"); !strings.HasSuffix(strings.TrimSpace(got), " 10.244.7.0/32") {
		t.Errorf("addresses: %s", got)
	}
	for _, want := range []string{"mtu 1472 ", "qlen 1000", "alias flanneld 10.244.0.0/16"} {
		if got := linktest.Run(t, "ip link show dev flannel0"); !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	if got := linktest.Run(t, "ip route get 10.244.9.2"); !strings.Contains(got, "dev flannel0 src 10.244.7.0") {
		t.Errorf("route get: %s", got)
	}
}

func TestWhatWasPutOffIsPutRight(t *testing.T) {
	overlay(t)
	c := testConfig()
	ensure(t, c)
	for _, breakage := range []string{
		"ip link set flannel0 down",
		"ip link set flannel0 mtu 1300",
		"ip addr del 10.244.7.0/32 dev flannel0",
		"ip addr flush dev flannel0",
		"ip addr add 10.244.9.0/32 dev flannel0",
		"ip route del 10.244.0.0/16",
		"ip route replace 10.244.0.0/16 dev flannel0",
		"ip route add 10.99.0.0/16 dev flannel0 proto static",
		"ip link set flannel0 alias flanneld-of-old",
		"ip link set flannel0 addrgenmode eui64",
	} {
		linktest.Run(t, breakage)
		off, err := Check(c)
		if err != nil || len(off) == 0 {
			t.Errorf("%s: Check says %q, %v", breakage, off, err)
		}
		if changed := ensure(t, c); !slices.Equal(changed, off) {
			t.Errorf("%s: Check says %q, Ensure did %q", breakage, off, changed)
		}
	}
}

// Before Linux 5.14 each address of a bridge makes a route for broadcasts to
// the lowest address of its subnet. The kernel takes the route that came first.
// The test adds the route where the kernel does not.
func TestAddressIsNoBroadcastAddressOfAnEarlierBridge(t *testing.T) {
	linktest.Script(t, `
		ip link add docker0 type bridge
		ip addr add 10.244.7.1/24 dev docker0
		ip link set docker0 up
		ip route replace broadcast 10.244.7.0 dev docker0 table local proto kernel scope link src 10.244.7.1`)
	t.Cleanup(func() { linktest.Try("ip link delete docker0") })
	isLocal := func(when string) {
		t.Helper()
		if got := linktest.Run(t, "ip route get 10.244.7.0"); !strings.HasPrefix(got, "local ") {
			t.Errorf("%s: %s", when, got)
		}
	}
	overlay(t)
	ensure(t, testConfig())
	isLocal("a new device")
	linktest.Run(t, "ip addr del 10.244.7.0/32 dev flannel0")
	linktest.Run(t, "ip route replace broadcast 10.244.7.0 dev docker0 table local proto kernel scope link src 10.244.7.1")
	linktest.Run(t, "ip addr add 10.244.7.0/32 dev flannel0")
	if changed := ensure(t, testConfig()); !slices.Contains(changed, "docker0 has 10.244.7.0 as a broadcast address") {
		t.Errorf("changed %q", changed)
	}
	isLocal("an address that is set again")
	linktest.Run(t, "ip route append broadcast 10.244.7.0 dev docker0 table local proto kernel scope link src 10.244.7.1")
	if off, err := Check(testConfig()); err != nil || len(off) > 0 {
		t.Errorf("a route that came later: %q, %v", off, err)
	}
}

func TestRenamedDeviceGetsItsNameBack(t *testing.T) {
	overlay(t)
	c := testConfig()
	ensure(t, c)
	linktest.Script(t, "ip link set flannel0 down\nip link set flannel0 name other0")
	if off, err := Check(c); err != nil || !slices.Contains(off, "device is called other0, not flannel0") {
		t.Errorf("Check says %q, %v", off, err)
	}
	ensure(t, c)
	if got := linktest.Run(t, "ip route get 10.244.9.2"); !strings.Contains(got, "dev flannel0 src 10.244.7.0") {
		t.Errorf("route get: %s", got)
	}
	// Another program's device of that name is not touched.
	linktest.Script(t, "ip link set flannel0 down\nip link set flannel0 name other0\nip link add flannel0 type bridge")
	t.Cleanup(func() { linktest.Try("ip link delete other0") })
	if _, err := Ensure(c); !errors.Is(err, ErrForeign) {
		t.Errorf("beside a foreign device: %v", err)
	}
}

func TestNewLeaseReplacesTheOld(t *testing.T) {
	overlay(t)
	ensure(t, testConfig())
	linktest.Run(t, "ip route add 10.50.0.0/16 dev flannel0") // the operator's own
	c := testConfig()
	c.Addr = netip.MustParseAddr("10.244.9.0")
	ensure(t, c)
	got := linktest.Run(t, "ip addr show dev flannel0") + linktest.Run(t, "ip route show table all")
	if strings.Contains(got, "10.244.7.0") {
		t.Errorf("the older lease is still there:\n%s", got)
	}
	if !strings.Contains(got, "10.50.0.0/16") {
		t.Errorf("the operator's route is gone:\n%s", got)
	}
}

func TestRouteOfAnotherDeviceIsNotTakenAway(t *testing.T) {
	overlay(t)
	linktest.Script(t, `
		ip link add other type bridge
		ip link set other up
		ip route add 10.244.0.0/16 dev other`)
	t.Cleanup(func() { linktest.Try("ip link delete other") })
	_, err := Ensure(testConfig())
	if !errors.Is(err, ErrRouteTaken) || !strings.Contains(err.Error(), "other") {
		t.Errorf("got %v", err)
	}
	if got := linktest.Run(t, "ip route show 10.244.0.0/16"); !strings.Contains(got, "dev other") {
		t.Errorf("the route became %s", got)
	}
}

// A route that leads nowhere has no device to name.
func TestNetworkThatIsRoutedNowhereIsTaken(t *testing.T) {
	overlay(t)
	linktest.Run(t, "ip route add blackhole 10.244.0.0/16")
	t.Cleanup(func() { linktest.Try("ip route del blackhole 10.244.0.0/16") })
	changed, err := Ensure(testConfig())
	if !errors.Is(err, ErrRouteTaken) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
	if !slices.Contains(changed, "device is down") {
		t.Errorf("what was done before is not told: %q", changed)
	}
	linktest.Run(t, "ip route del blackhole 10.244.0.0/16")
	linktest.Run(t, "ip route add 10.244.0.0/16 dev lo metric 5") // another metric is another route
	t.Cleanup(func() { linktest.Try("ip route del 10.244.0.0/16 dev lo") })
	ensure(t, testConfig())
}

// A device may have a dot in its name, which is none in /proc/sys.
func TestDeviceWithADotInItsName(t *testing.T) {
	linktest.Script(t, "ip tuntap add dev flannel.1 mode tun\nip link set flannel.1 alias flanneld")
	t.Cleanup(func() { linktest.Try("ip link delete flannel.1") })
	c := testConfig()
	c.Name = "flannel.1"
	ensure(t, c)
	linktest.Run(t, "sysctl -qw net.ipv4.conf.flannel/1.forwarding=0")
	if changed, err := EnsureForwarding("flannel.1"); err != nil || len(changed) != 1 || !strings.HasPrefix(changed[0], "net.ipv4.conf.flannel/1.") {
		t.Errorf("changed %q, %v", changed, err)
	}
	if got := linktest.Run(t, "sysctl -n net.ipv4.conf.flannel/1.forwarding"); got != "1\n" {
		t.Errorf("forwarding is %s", got)
	}
}

func TestDeletedDeviceIsReported(t *testing.T) {
	for name, call := range map[string]func(Config) ([]string, error){"Ensure": Ensure, "Check": Check} {
		if _, err := call(testConfig()); !errors.Is(err, ErrNoDevice) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if owner, err := Owned("flannel0"); owner != Absent || err != nil {
		t.Errorf("Owned: %v, %v", owner, err)
	}
}

func TestForeignDevicesAreLeftAlone(t *testing.T) {
	for name, lines := range map[string]string{
		"bridge":            "ip link add flannel0 type bridge",
		"bridge with alias": "ip link add flannel0 type bridge\nip link set flannel0 alias flanneld",
		"vxlan of flannel":  "ip link add flannel0 type vxlan id 1 dstport 8472",
		"tun without alias": "ip tuntap add dev flannel0 mode tun",
		"tap with alias":    "ip tuntap add dev flannel0 mode tap\nip link set flannel0 alias flanneld",
	} {
		linktest.Script(t, lines)
		owner, err := Owned("flannel0")
		if owner != Foreign || !errors.Is(err, ErrForeign) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: Owned: %v, %v", name, owner, err)
		}
		if _, err := Ensure(testConfig()); !errors.Is(err, ErrForeign) {
			t.Errorf("%s: Ensure: %v", name, err)
		}
		if err := Remove("flannel0"); !errors.Is(err, ErrForeign) {
			t.Errorf("%s: Remove: %v", name, err)
		}
		linktest.Run(t, "ip link delete flannel0") // fails if it is gone
	}
}

func TestRemoveTakesDeviceAndRoutesAway(t *testing.T) {
	overlay(t)
	ensure(t, testConfig())
	if owner, err := Owned("flannel0"); owner != Ours || err != nil {
		t.Fatalf("Owned: %v, %v", owner, err)
	}
	for range 2 {
		if err := Remove("flannel0"); err != nil {
			t.Fatal(err)
		}
	}
	if got := linktest.Run(t, "ip route show table all 10.244.0.0/16"); got != "" {
		t.Errorf("routes left: %s", got)
	}
}

func TestForwardingIsSetOnce(t *testing.T) {
	linktest.Run(t, "sysctl -qw net.ipv4.ip_forward=0")
	for _, want := range []bool{true, false} {
		if changed, err := EnableForwarding(); err != nil || changed != want {
			t.Errorf("changed %t, %v, want %t", changed, err, want)
		}
	}
	if got := linktest.Run(t, "sysctl -n net.ipv4.ip_forward"); got != "1\n" {
		t.Errorf("net.ipv4.ip_forward=%s", got)
	}
}

func TestNothingIsLeftOpen(t *testing.T) {
	overlay(t)
	ensure(t, testConfig())
	before := descriptors(t)
	for range 20 {
		ensure(t, testConfig())
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors became %d", before, after)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
