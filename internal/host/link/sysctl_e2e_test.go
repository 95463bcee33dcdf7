// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package link

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/internal/host/link/linktest"
)

// Forwarding of our device is switched on again when another program has
// switched it off, or when the device is made with it off. That holds also
// where /proc/sys is read-only.
func TestForwardingOfTheDeviceIsKeptOn(t *testing.T) {
	linktest.Run(t, "ip tuntap add dev fwd0 mode tun")
	t.Cleanup(func() { linktest.Run(t, "ip link delete fwd0") })
	linktest.Run(t, "ip link set fwd0 up")
	if _, err := EnableForwarding(); err != nil {
		t.Fatal(err)
	}
	changes, err := Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	check := func(readOnly bool) {
		t.Helper()
		for key, value := range map[string]string{"fwd0.forwarding": "0", "fwd0.rp_filter": "1", "all.rp_filter": "1"} {
			select {
			case <-changes:
			default:
			}
			linktest.Run(t, "sysctl -qw net.ipv4.conf."+key+"="+value)
			select {
			case <-changes:
			case <-time.After(2 * time.Second):
				t.Errorf("the change of %s is not told", key)
			}
			if readOnly {
				remount(t, unix.MS_RDONLY)
			}
			changed, err := EnsureForwarding("fwd0")
			if err != nil || len(changed) == 0 && key != "all.rp_filter" {
				t.Errorf("%s=%s: %q, %v", key, value, changed, err)
			}
			if again, err := EnsureForwarding("fwd0"); err != nil || len(again) > 0 {
				t.Errorf("again: %q, %v", again, err)
			}
			if readOnly {
				remount(t, 0)
			}
			if on, err := Forwards("fwd0"); err != nil || !on {
				t.Errorf("forwards %t, %v", on, err)
			}
			if strict, err := FiltersStrictly("fwd0"); err != nil || strict {
				t.Errorf("strict %t, %v", strict, err)
			}
		}
		linktest.Run(t, "sysctl -qw net.ipv4.conf.all.rp_filter=0")
	}
	check(false)
	if err := unix.Mount("/proc/sys", "/proc/sys", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount("/proc/sys", 0) })
	check(true)
	remount(t, unix.MS_RDONLY)
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err == nil {
		t.Error("/proc/sys is not read-only: this shows nothing")
	}
	if changed, err := EnableForwarding(); changed || err != nil {
		t.Errorf("already on: %t, %v", changed, err)
	}
	remount(t, 0)
}

func remount(t *testing.T, flags uintptr) {
	t.Helper()
	if err := unix.Mount("", "/proc/sys", "", unix.MS_REMOUNT|unix.MS_BIND|flags, ""); err != nil {
		t.Fatal(err)
	}
}
