// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package daemon

import (
	"bytes"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"syscall"
	"testing"
	"time"

	"flanneld/internal/control"
	"flanneld/internal/host/link/linktest"
)

// networkd is where Debian has it.
const networkd = "/lib/systemd/systemd-networkd"

// startNetworkd starts systemd-networkd for eth0, and returns what ends it.
// A mark of udev for each device lets it begin after it has read the routes.
func startNetworkd(t *testing.T) (stop func()) {
	t.Helper()
	linktest.Script(t, "mkdir -p /run/systemd/network /run/systemd/netif /run/udev/data\nchown systemd-network:systemd-network /run/systemd/netif")
	const settings = "[Match]\nName=eth0\n[Network]\nAddress=192.168.7.1/24\nAddress=192.168.7.2/24\nGateway=192.168.7.254\n"
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("/run/systemd/network/10-eth0.network", settings)
	for line := range strings.Lines(linktest.Run(t, "ip -o link")) {
		index, _, _ := strings.Cut(line, ":")
		write("/run/udev/data/n"+index, "I:1\n")
	}
	cmd := exec.CommandContext(t.Context(), networkd)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("systemd-networkd: %v\n%s", err, &said)
		}
	}
}

// hasNetworkd reports whether systemd-networkd can run here.
func hasNetworkd() bool {
	_, err := os.Stat(networkd)
	_, unknown := user.Lookup("systemd-network")
	return err == nil && unknown == nil
}

// systemd-networkd removes routes and neighbors that it does not know from its
// devices, whenever it starts. They are put back within a second.
func TestRestartOfNetworkdIsSurvived(t *testing.T) {
	linktest.Underlay(t)
	linktest.Script(t, `
		ip netns add far
		ip link set eth1 netns far
		ip -n far link set eth1 up
		ip -n far address add 192.168.7.9/24 dev eth1
		mount -t sysfs sysfs /sys`)
	t.Cleanup(func() { linktest.Try("umount -l /sys"); linktest.Try("ip netns delete far") })
	removed(t)
	d := start(t, shortDir(t), map[string][]string{
		"backend": {"vxlan,host-gw"}, "static-peer": {"10.244.200.0/24=vxlan:192.168.7.9/02:00:00:00:00:09,10.244.201.0/24=host-gw:192.168.7.9"},
	})
	d.wait(t, "start", ready)
	complete := func() bool {
		text, _ := linktest.Try("ip route show proto 85")
		return strings.Contains(text, "10.244.200.0/24 via 10.244.200.0 dev flannel.1") && strings.Contains(text, "10.244.201.0/24 via 192.168.7.9 dev eth0")
	}
	eventually := func(what string, limit time.Duration, done func() bool) {
		t.Helper()
		for end := time.Now().Add(limit); !done(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: not within %v\n%s", what, limit, d.log)
			}
		}
	}
	eventually("both routes", 20*time.Second, complete)
	for range 2 {
		var seen lockedText
		watch := exec.CommandContext(t.Context(), "ip", "monitor", "route")
		watch.Stdout = &seen
		if err := watch.Start(); err != nil {
			t.Fatal(err)
		}
		stop := func() {}
		if hasNetworkd() {
			stop = startNetworkd(t)
		} else { // what it does to eth0
			time.Sleep(time.Second) // until the changes are watched
			linktest.Script(t, "ip route flush dev eth0 proto 85\nip neigh flush dev eth0")
		}
		eventually("the route to be taken away", 20*time.Second, func() bool {
			return strings.Contains(seen.String(), "Deleted 10.244.201.0/24")
		})
		gone := time.Now()
		eventually("the route to be put back", 2*time.Second, complete) // twice: tests share the processors
		t.Logf("put back after %v", time.Since(gone).Round(time.Millisecond))
		time.Sleep(2 * time.Second)
		if !complete() {
			t.Errorf("taken away again\n%s\n%s", seen.String(), d.log)
		}
		stop()
		_ = watch.Process.Kill()
		_ = watch.Wait()
	}
	if s, err := d.Status(t.Context()); err != nil || len(problemsOf(s, "kernel paths")) > 0 {
		t.Errorf("%+v, %v", s.Problems, err)
	}
	d.stop(t)
}

// problemsOf are the problems of one part.
func problemsOf(s control.Status, part string) (all []control.Problem) {
	for _, p := range s.Problems {
		if p.Part == part {
			all = append(all, p)
		}
	}
	return all
}
