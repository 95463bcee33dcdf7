// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package daemon

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"flanneld/internal/control"
	"flanneld/internal/host/link/linktest"
)

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// A data plane that is made anew leaves neither goroutines nor descriptors
// behind, nor its kernel paths.
func TestPlanesThatAreMadeAnewLeaveNothingBehind(t *testing.T) {
	linktest.Underlay(t)
	removed(t)
	d := start(t, shortDir(t), map[string][]string{
		"backend": {"auto"}, "static-peer": {"10.244.200.0/24=vxlan:192.168.7.9/02:00:00:00:00:09"},
	})
	again := func(n int) {
		for i := range n {
			before := d.wait(t, "a device", ready)
			linktest.Run(t, "ip link delete flannel0")
			d.wait(t, fmt.Sprintf("device %d", i), func(s control.Status) bool {
				return ready(s) && s.Host.DeviceRepairs > before.Host.DeviceRepairs
			})
		}
	}
	again(3)
	time.Sleep(2 * time.Second)
	files, routines := descriptors(t), runtime.NumGoroutine()
	const planes = 40
	again(planes)
	time.Sleep(2 * time.Second)
	t.Logf("descriptors %d, then %d; goroutines %d, then %d", files, descriptors(t), routines, runtime.NumGoroutine())
	if n := descriptors(t); n > files+planes/4 {
		t.Errorf("%d descriptors, %d before", n, files)
	}
	if n := runtime.NumGoroutine(); n > routines+planes/4 {
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines, %d before\n%s", n, routines, buf[:runtime.Stack(buf, true)])
	}
	d.stop(t)
}

// Another program that adds and deletes routes all the time hides nothing: what
// it takes away of the kernel paths is back in time, and the daemon answers.
func TestAnotherProgramsManyRoutesHideNothing(t *testing.T) {
	linktest.Underlay(t)
	removed(t)
	d := start(t, shortDir(t), map[string][]string{
		"backend": {"vxlan"}, "static-peer": {"10.244.200.0/24=vxlan:192.168.7.9/02:00:00:00:00:09"},
	})
	d.wait(t, "start", ready)
	var script strings.Builder
	for _, verb := range []string{"add", "del"} {
		for i := range 5000 {
			fmt.Fprintf(&script, "route %s 172.%d.%d.%d/32 dev eth0\n", verb, 16+i/65536, i/256%256, i%256)
		}
	}
	batch := t.TempDir() + "/batch"
	if err := os.WriteFile(batch, []byte(script.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	flood := exec.Command("sh", "-c", "while :; do ip -force -batch "+batch+" 2>/dev/null; done")
	if err := flood.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { flood.Process.Kill(); flood.Wait(); time.Sleep(2 * time.Second) })
	there := func() bool {
		text, _ := linktest.Try("ip route show 10.244.200.0/24")
		return strings.Contains(text, "onlink")
	}
	for range 5 {
		time.Sleep(1500 * time.Millisecond)
		linktest.Try("ip route del 10.244.200.0/24 proto 85")
		began := time.Now()
		for !there() && time.Since(began) < 10*time.Second {
			time.Sleep(10 * time.Millisecond)
		}
		took := time.Since(began)
		t.Logf("back after %v", took)
		if took > 9*time.Second {
			t.Errorf("back after %v", took)
		}
		began = time.Now()
		if _, err := d.Status(t.Context()); err != nil {
			t.Error(err)
		}
		t.Logf("status after %v", time.Since(began))
	}
	d.stop(t)
}

// Two daemons on one host leave each other's routes, devices and tables alone.
func TestTwoDaemonsOnOneHostLeaveEachOtherAlone(t *testing.T) {
	linktest.Underlay(t)
	linktest.Script(t, `
		ip netns add far
		ip link set eth1 netns far
		ip -n far link set eth1 up
		ip -n far address add 192.168.7.9/24 dev eth1
		ip -n far address add 192.168.7.10/24 dev eth1`)
	t.Cleanup(func() { linktest.Try("ip netns delete far") })
	removed(t)
	one := start(t, shortDir(t), map[string][]string{
		"backend":     {"vxlan,host-gw"},
		"static-peer": {"10.244.200.0/24=vxlan:192.168.7.9/02:00:00:00:00:09,10.244.201.0/24=host-gw:192.168.7.9"},
	})
	one.wait(t, "the first", ready)
	count := func(device string) string {
		routes, _ := linktest.Try("ip route show proto 85")
		n := 0
		for line := range strings.Lines(routes) {
			if strings.HasPrefix(line, device) {
				n++
			}
		}
		return fmt.Sprint(n)
	}
	flags := map[string][]string{
		"backend": {"vxlan,host-gw"}, "device": {"flannel9"}, "vxlan-vni": {"9"}, "network": {"10.99.0.0/16"},
		"port": {"9285"}, "gossip-port": {"9286"}, "iface": {"192.168.7.2"}, "node-name": {"m"},
		"static-peer": {"10.99.200.0/24=vxlan:192.168.7.10/02:00:00:00:00:0a,10.99.201.0/24=host-gw:192.168.7.10"},
	}
	t.Cleanup(func() {
		linktest.Try("ip link delete flannel.9")
		linktest.Try("nft delete table ip flanneld-paths-flannel9")
	})
	dir := shortDir(t)
	flags["subnet-file"], flags["docker-file"] = []string{dir + "/subnet.env"}, []string{dir + "/docker"}
	other := start(t, dir, flags)
	other.wait(t, "the second", ready)
	stays := func(what string, first, second string) {
		t.Helper()
		var got string
		for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if got = count("10.244") + " " + count("10.99"); got == first+" "+second {
				break
			}
		}
		for range 40 { // longer than a look of each
			if now := count("10.244") + " " + count("10.99"); now != first+" "+second {
				t.Fatalf("%s: %s routes, want %s %s\n%s\n%s", what, now, first, second, one.log, other.log)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	stays("both", "2", "2")
	if n := strings.Count(one.log.String(), "kernel paths"); n > 2 {
		t.Errorf("the first has put back something: %s", one.log)
	}
	if text := linktest.Run(t, "nft list tables"); !strings.Contains(text, "flanneld-paths-flannel0") || !strings.Contains(text, "flanneld-paths-flannel9") {
		t.Errorf("tables: %s", text)
	}
	other.stop(t)
	stays("the second stopped", "2", "2")
	other = start(t, dir, flags)
	other.wait(t, "the second again", ready)
	if _, err := other.Leave(t.Context()); err != nil {
		t.Error(err)
	}
	<-other.ended
	stays("the second left", "2", "0")
	linktest.Run(t, "ip link show flannel.1")
	if text, err := linktest.Try("ip link show flannel.9"); err == nil {
		t.Errorf("left: %s", text)
	}
	one.stop(t)
}

// A second daemon with the first one's VNI is told to take another. The first
// one's device stays as it is, and the second goes on without one.
func TestTwoDaemonsWithOneVNI(t *testing.T) {
	linktest.Underlay(t)
	removed(t)
	one := start(t, shortDir(t), map[string][]string{
		"backend": {"vxlan"}, "static-peer": {"10.244.200.0/24=vxlan:192.168.7.9/02:00:00:00:00:09"},
	})
	one.wait(t, "the first", ready)
	before := linktest.Run(t, "ip -d link show flannel.1") + linktest.Run(t, "bridge fdb show dev flannel.1")
	t.Cleanup(func() { linktest.Try("nft delete table ip flanneld-paths-flannel9") })
	dir := shortDir(t)
	other := start(t, dir, map[string][]string{
		"backend": {"vxlan,udp"}, "device": {"flannel9"}, "network": {"10.99.0.0/16"}, "port": {"9285"}, "gossip-port": {"9286"},
		"iface": {"192.168.7.2"}, "node-name": {"m"}, "subnet-file": {dir + "/subnet.env"}, "docker-file": {dir + "/docker"},
	})
	other.wait(t, "the second's advice", func(s control.Status) bool {
		return ready(s) && slices.ContainsFunc(s.Problems, func(p control.Problem) bool {
			return strings.Contains(p.Text, "the flanneld of flannel0") && strings.Contains(p.Advice, "--vxlan-vni") &&
				strings.Contains(p.Advice, "--vxlan-port") && !strings.Contains(p.Advice, "delete")
		})
	})
	if _, err := other.Leave(t.Context()); err != nil {
		t.Error(err)
	}
	<-other.ended
	if after := linktest.Run(t, "ip -d link show flannel.1") + linktest.Run(t, "bridge fdb show dev flannel.1"); after != before {
		t.Errorf("the first one's device is %s\nbefore it was %s", after, before)
	}
	one.stop(t)
}

// The underlay device gets another name while kernel paths use it.
func TestUnderlayDeviceThatIsRenamed(t *testing.T) {
	linktest.Underlay(t)
	linktest.Script(t, `
		ip netns add far
		ip link set eth1 netns far
		ip -n far link set eth1 up
		ip -n far address add 192.168.7.9/24 dev eth1`)
	t.Cleanup(func() { linktest.Try("ip netns delete far"); linktest.Try("ip link delete uplink") })
	removed(t)
	d := start(t, shortDir(t), map[string][]string{
		"backend": {"vxlan,host-gw"}, "static-peer": {"10.244.200.0/24=vxlan:192.168.7.9/02:00:00:00:00:09,10.244.201.0/24=host-gw:192.168.7.9"},
	})
	d.wait(t, "start", ready)
	has := func(what string, lines ...string) {
		t.Helper()
		var text string
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			routes, _ := linktest.Try("ip route show proto 85")
			table, _ := linktest.Try("nft list table ip flanneld-paths-flannel0")
			text = routes + table
			missing := false
			for _, line := range lines {
				missing = missing || !strings.Contains(text, line)
			}
			if !missing {
				return
			}
		}
		t.Errorf("%s: %s\n%s", what, text, d.log)
	}
	has("start", "dev flannel.1", "via 192.168.7.9 dev eth0", `iifname "eth0"`)
	if _, err := linktest.Try("ip link set eth0 name uplink"); err != nil {
		linktest.Script(t, `
			ip link set eth0 down
			ip link set eth0 name uplink
			ip link set uplink up
			ip route add default via 192.168.7.254`)
	}
	has("renamed", "dev flannel.1", "via 192.168.7.9 dev uplink", `iifname "uplink"`)
	d.stop(t)
}
