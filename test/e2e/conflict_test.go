// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// restored makes a conflict as a restored backup does. host2's state directory
// is copied, host2 leaves, host3 takes its subnet, and host2 starts with the
// copy. The reports about host2 are then in its log.
func restored(t *testing.T, attach bool, args ...string) (h1, h2, h3 *lab.Host, lease string) {
	t.Helper()
	l, h1, h2 := duo(t)
	lease = h2.Lease().String()
	backup := l.Dir() + "/backup"
	h2.Exec(t, "cp", "-a", h2.StateDir, backup)
	if r := h2.Flanneld("leave"); r.Status != 0 {
		t.Fatalf("leave: %s", r.Stderr)
	}
	h2.Daemon.WaitEnd(ready)
	h3 = l.Host()
	h3.Start("--join", h1.Addr.String(), "--subnet", lease).WaitReady(ready)
	h2.Exec(t, "sh", "-c", "rm -rf "+h2.StateDir+" && cp -a "+backup+" "+h2.StateDir+" && rm -f "+h2.StateDir+"/lock")
	if attach { // a container that was there all the time
		h2.Exec(t, "sh", "-c", "ip link add docker0 type bridge; ip link set docker0 up; ip link add pod type veth peer name pod1; ip link set pod master docker0 up; ip link set pod1 up")
	}
	h2.Start(append([]string{"--join", h1.Addr.String()}, args...)...)
	h2.Daemon.WaitLog("lease lost", ready)
	return h1, h2, h3, lease
}

// isLost fails the test unless the host reports its lease as lost, and all
// hosts send packets to the new holder.
func isLost(t *testing.T, h1, h2 *lab.Host, lease string) {
	t.Helper()
	var status struct {
		Lease struct{ State, Subnet, Waiting string }
	}
	// The log line comes a moment before the status, and the record of the new
	// holder can come a moment before gossip names it.
	lab.Eventually(t, ready, "the loser's status to say so", func() error {
		err := h2.JSON(&status, "status")
		return lab.Expect(err == nil && status.Lease.State == "lost" && status.Lease.Subnet == "" &&
			strings.Contains(status.Lease.Waiting, lease) && strings.Contains(status.Lease.Waiting, "host3"), "%+v, %v", status, err)
	})
	for _, h := range []*lab.Host{h1, h2} {
		address := strings.TrimSuffix(lease, ".0/24") + ".5"
		// A daemon that is just setting up its device for the lease ends that
		// first.
		lab.Eventually(t, ready, "packets to go to the lease's holder", func() error {
			var r lab.Route
			err := h.JSON(&r, "route", "get", address)
			return lab.Expect(err == nil && r.Node.Name == "host3" && r.Kind == "via", "%s routes %s to %+v, %v", h.NodeName, address, r, err)
		})
	}
}

func TestLoserOfAConflictTakesANewLeaseOnceNoContainerUsesTheOld(t *testing.T) {
	t.Parallel()
	h1, h2, h3, lease := restored(t, true)
	isLost(t, h1, h2, lease)
	<-time.After(7 * time.Second) // longer than the time between two checks of the containers
	isLost(t, h1, h2, lease)
	h2.Exec(t, "sh", "-c", "ip link delete pod; ip link delete docker0")
	lab.Eventually(t, 20*time.Second, "a new lease", func() error {
		status := h2.Status()
		file := h2.SubnetFile()
		return lab.Expect(status.Lease.State == "confirmed" && status.Lease.Subnet != lease &&
			strings.HasPrefix(file["FLANNEL_SUBNET"], strings.TrimSuffix(status.Lease.Subnet, ".0/24")+"."), "%+v, %v", status.Lease, file)
	})
	if h2.Daemon.Ended() || h3.Lease().String() != lease {
		t.Errorf("host3 has %v, and had %v", h3.Lease(), lease)
	}
	h2.Pod().Reachable(t, h3.Pod().Addr, 10*time.Second)
}

func TestLoserOfAConflictTakesANewLeaseAtOnceWithoutContainers(t *testing.T) {
	t.Parallel()
	_, h2, h3, lease := restored(t, false)
	h2.Daemon.WaitReady(ready)
	lab.Eventually(t, 20*time.Second, "a new lease", func() error {
		s := h2.Status()
		return lab.Expect(s.Lease.State == "confirmed" && s.Lease.Subnet != lease, "%+v", s.Lease)
	})
	h2.Pod().Reachable(t, h3.Pod().Addr, 10*time.Second)
}

func TestLoserOfAConflictWaitsIfConfigured(t *testing.T) {
	t.Parallel()
	h1, h2, h3, lease := restored(t, false, "--on-conflict", "wait")
	<-time.After(7 * time.Second) // to see that it takes nothing
	isLost(t, h1, h2, lease)
	if status := h2.Daemon.Stop(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	h2.Start("--join", h1.Addr.String(), "--on-conflict", "wait").WaitReady(ready)
	if h2.Lease().String() == lease || h3.Lease().String() != lease {
		t.Errorf("after a restart host2 has %v, host3 %v; the conflict was about %v", h2.Lease(), h3.Lease(), lease)
	}
}
