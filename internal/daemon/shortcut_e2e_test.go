// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package daemon

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"flanneld/internal/control"
	"flanneld/internal/host/link/linktest"
)

// On Linux 6.6 and newer the daemon has the short-cut. On an older kernel
// status says that this kernel is too old, which is no problem, and the daemon
// goes on without.
func TestStatusSaysWhetherTheKernelHasTheShortcut(t *testing.T) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	release := unix.ByteSliceToString(name.Release[:])
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		t.Fatalf("kernel %q: %v", release, err)
	}
	linktest.Underlay(t)
	d := start(t, shortDir(t), map[string][]string{"shortcut": {"auto"}})
	want := major > 6 || major == 6 && minor >= 6
	s := d.wait(t, "short-cut on Linux "+release, func(s control.Status) bool {
		return ready(s) && s.Shortcut.Ready == want && (want || strings.Contains(s.Shortcut.Why, "Linux 6.6"))
	})
	if s.Shortcut.Setting != control.ShortcutAuto {
		t.Errorf("the setting is %q", s.Shortcut.Setting)
	}
	for _, p := range s.Problems {
		if strings.Contains(fmt.Sprint(p), "short-cut") {
			t.Errorf("a problem: %+v", p)
		}
	}
	if _, err := d.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-d.ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
}
