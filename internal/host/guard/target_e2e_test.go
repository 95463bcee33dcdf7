// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package guard

import (
	"errors"
	"log/slog"
	"testing"

	"flanneld/internal/host"
	"flanneld/internal/host/link"
)

func TestTargetReachesThePartsAndLeavesThem(t *testing.T) {
	g, _ := newGuard(t)
	lease := testRules.Lease
	device := link.Config{Name: "flannel-none", Alias: link.AliasPrefix, Addr: lease.Addr(), MTU: 1472, Network: testRules.Network}
	g.KeepFiles([]byte("A=1\n"), []byte("B=1\n")) // without a target
	check := func(p host.Part) []string {
		t.Helper()
		wrong, err := p.Check(t.Context())
		if err != nil && !errors.Is(err, link.ErrNoDevice) {
			t.Error(err)
		}
		if errors.Is(err, link.ErrNoDevice) {
			wrong = append(wrong, "no device")
		}
		return wrong
	}
	for _, p := range []host.Part{g.parts.Device, g.parts.Subnet, g.parts.Docker} {
		if wrong := check(p); len(wrong) > 0 {
			t.Errorf("%s before: %q", p.Name(), wrong)
		}
	}
	settled, err := g.Keep(Target{Device: device, Rules: testRules})
	if err != nil {
		t.Fatal(err)
	}
	g.KeepFiles([]byte("A=1\n"), []byte("B=1\n"))
	for _, p := range []host.Part{g.parts.Device, g.parts.Subnet, g.parts.Docker} {
		if wrong := check(p); len(wrong) != 1 {
			t.Errorf("%s with a target: %q", p.Name(), wrong)
		}
	}
	if !open(settled) {
		t.Error("settled before the rules were looked at")
	}
	g.keeper.Keep(t.Context(), slog.LevelWarn, g.parts.Device, g.parts.Subnet, g.parts.Docker) // the device is another's to make
	if wrong := check(g.parts.Subnet); len(wrong) > 0 {
		t.Errorf("files after a round: %q", wrong)
	}
	g.Release()
	g.Release()
	for _, p := range []host.Part{g.parts.Device, g.parts.Subnet} {
		if wrong := check(p); len(wrong) > 0 {
			t.Errorf("%s after: %q", p.Name(), wrong)
		}
	}
	if _, err := g.Keep(Target{}); err == nil {
		t.Error("a target without a network was taken")
	}
}
