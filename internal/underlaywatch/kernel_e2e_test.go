// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package underlaywatch

import (
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"flanneld/internal/host/link/linktest"
	"flanneld/internal/host/underlay"
	"flanneld/internal/problem"
)

func TestMain(m *testing.M) { linktest.Main(m) }

// watch is a Watcher of the real host, with a scene that moves.
func watch(t *testing.T) *scene {
	t.Helper()
	linktest.Underlay(t)
	linktest.Script(t, "sysctl -q -w net.ipv4.conf.eth0.promote_secondaries=1")
	here, err := underlay.Choose(underlay.Options{Device: "flannel0"})
	if err != nil || here.Addr.String() != "192.168.7.1" {
		t.Fatalf("chose %v, %v", here, err)
	}
	s := &scene{problems: problem.NewBoard(slog.New(slog.DiscardHandler))}
	s.Watcher = New(Config{
		Options: underlay.Options{Device: "flannel0"}, Here: here, MTU: 1472, Overhead: 28, Mover: s, Problems: s.problems,
		Log: slog.New(slog.NewTextHandler(&s.log, nil)),
	})
	t.Cleanup(func() { s.timer.Stop() })
	s.Start(t.Context())
	return s
}

// followKernel waits for a change or a check that is due.
func (s *scene) followKernel(t *testing.T) {
	t.Helper()
	select {
	case <-s.Changes():
		s.Soon()
	case <-s.Due():
		s.check(t)
	case <-time.After(20 * time.Second):
		t.Fatal("the kernel reports nothing, and no check is due")
	}
}

func TestAnAddressThatTheKernelLostIsLeft(t *testing.T) {
	s := watch(t)
	if s.check(t); len(s.moves) != 0 || len(s.problems.All()) != 0 {
		t.Fatalf("moves %v, problems %v", s.moves, s.problems.All())
	}
	linktest.Run(t, "ip address del 192.168.7.1/24 dev eth0")
	for deadline := time.Now().Add(30 * time.Second); len(s.moves) == 0 && time.Now().Before(deadline); {
		s.followKernel(t)
	}
	if s.Here().Addr != netip.MustParseAddr("192.168.7.2") || len(s.problems.All()) != 0 {
		t.Errorf("now at %v, moves %v, problems %v", s.Here(), s.moves, s.problems.All())
	}
}

func TestWhatChangesAboutTheInterfaceIsNoted(t *testing.T) {
	s := watch(t)
	linktest.Run(t, "ip link set eth0 mtu 1400")
	for deadline := time.Now().Add(30 * time.Second); s.Here().MTU != 1400 && time.Now().Before(deadline); {
		s.followKernel(t)
	}
	if all := s.problems.All(); len(all) != 1 || all[0].Part != problem.PartUnderlay {
		t.Errorf("problems %+v", all)
	}
	linktest.Run(t, "ip address flush dev eth0")
	for deadline := time.Now().Add(30 * time.Second); len(s.problems.All()) == 1 && s.problems.All()[0].Text[:8] == "the MTU " && time.Now().Before(deadline); {
		s.followKernel(t)
	}
	if len(s.moves) != 0 || s.Here().Addr != netip.MustParseAddr("192.168.7.1") {
		t.Errorf("moved to %v without an address: %v", s.Here(), s.moves)
	}
}
