// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package daemon

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"flanneld/internal/config"
	"flanneld/internal/host/link/linktest"
	"flanneld/tun"
)

func TestMain(m *testing.M) { linktest.Main(m) }

// left makes what a daemon that was killed leaves on the host, but a device.
func left(t *testing.T) config.Config {
	t.Helper()
	c := config.Config{RunDir: t.TempDir(), Device: "flannel0"}
	for _, path := range []string{c.SubnetPath(), c.DockerPath(), c.SocketPath()} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	linktest.Script(t, `
		iptables -w -N FLANNELD-flannel0
		iptables -w -I FORWARD -j FLANNELD-flannel0
		nft add table ip flanneld-flannel0
		nft add chain ip flanneld-flannel0 x`)
	return c
}

// onHost names what is there of a device, rules, tables and files.
func onHost(t *testing.T, c config.Config) (found []string) {
	t.Helper()
	if _, err := linktest.Try("ip link show flannel0"); err == nil {
		found = append(found, "device")
	}
	if strings.Contains(linktest.Run(t, "iptables -w -S"), "FLANNELD") {
		found = append(found, "rules")
	}
	if strings.Contains(linktest.Run(t, "nft list tables"), "flanneld-") {
		found = append(found, "table")
	}
	for _, path := range []string{c.SubnetPath(), c.DockerPath(), c.SocketPath()} {
		if _, err := os.Lstat(path); err == nil {
			found = append(found, filepath.Base(path))
		}
	}
	return found
}

// takeDowns are the two ways to remove everything: for a daemon that is gone,
// and for a node that leaves.
var takeDowns = map[string]func(c config.Config) error{
	"cleanup": func(c config.Config) error {
		_, err := Cleanup(c)
		return err
	},
	"leave": func(c config.Config) error {
		parts, err := newParts(c, nil)
		if err == nil {
			_, err = takeDown(c.Device, parts)
		}
		return err
	},
}

func TestNothingIsLeftBehind(t *testing.T) {
	for name, down := range takeDowns {
		c := left(t)
		linktest.Script(t, "ip tuntap add dev flannel0 mode tun multi_queue\nip link set flannel0 alias flanneld")
		for range 2 {
			if err := down(c); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if found := onHost(t, c); len(found) > 0 {
			t.Errorf("%s left %q", name, found)
		}
	}
}

// The rules are those of the flanneld that uses the device.
func TestDeviceInUseKeepsEverything(t *testing.T) {
	for name, down := range takeDowns {
		c := left(t)
		device, err := tun.Open(tun.Config{Name: "flannel0", Alias: "flanneld"})
		if err != nil {
			t.Fatal(err)
		}
		before := onHost(t, c)
		if err := down(c); err == nil || !strings.Contains(err.Error(), "another run directory") {
			t.Errorf("%s: %v", name, err)
		}
		if after := onHost(t, c); len(after) != 6 || !slices.Equal(after, before) {
			t.Errorf("%s: of %q there is %q", name, before, after)
		}
		if err := device.Close(); err != nil {
			t.Error(err)
		}
		if err := down(c); err != nil {
			t.Errorf("%s when it is free: %v", name, err)
		}
	}
}

// A device of another program stays, and keeps nothing else from being removed.
func TestDeviceOfAnotherProgramStaysAlone(t *testing.T) {
	for name, down := range takeDowns {
		c := left(t)
		linktest.Run(t, "ip link add flannel0 type bridge")
		if err := down(c); err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "remove device") {
			t.Errorf("%s: %v", name, err)
		}
		if found := onHost(t, c); !slices.Equal(found, []string{"device"}) {
			t.Errorf("%s left %q", name, found)
		}
		linktest.Run(t, "ip link delete flannel0")
	}
}
