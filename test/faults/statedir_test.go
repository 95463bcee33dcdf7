// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package faults

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/test/lab"
)

// shell runs a script on the host that has to succeed.
func shell(t *testing.T, h *lab.Host, script string, args ...any) string {
	t.Helper()
	return h.Exec(t, "sh", "-c", fmt.Sprintf(script, args...))
}

// refuses waits for the daemon to end by itself with status 1, and with a last
// line that has all these words in it.
func refuses(t *testing.T, d *lab.Daemon, words ...string) {
	t.Helper()
	if status := d.WaitEnd(ready); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	lines := strings.Split(strings.TrimSpace(d.Log()), "\n")
	last := lines[len(lines)-1]
	for _, word := range words {
		if !strings.Contains(last, word) {
			t.Errorf("the error does not mention %q: %s", word, last)
		}
	}
}

func TestDirectoryThatBecomesReadOnlyCostsNoLease(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	hosts := l.Network(2)
	h1, h2 := hosts[0], hosts[1]
	before := leasesOf(hosts)
	talks := converse(t, hosts, [][2]int{{0, 1}})
	shell(t, h2, "mount --bind %[1]s %[1]s && mount -o remount,bind,ro %[1]s", h2.StateDir)
	t.Cleanup(func() { unix.Unmount(h2.StateDir, unix.MNT_DETACH) })

	h3 := l.Host() // host2 cannot write a promise, host1 can
	h3.Start("--join", h1.Addr.String()).WaitReady(ready)
	h2.Daemon.WaitLog("promises and confirms nothing", ready)
	inTouch(t, talks)

	h2.Daemon.Kill()
	refuses(t, h2.Start("--join", h1.Addr.String()), h2.StateDir, "read-only")
	unix.Unmount(h2.StateDir, unix.MNT_DETACH)
	h2.Start("--join", h1.Addr.String()).WaitReady(ready)
	hosts = l.Hosts()
	lab.WaitAgreed(t, hosts, 3, healed)
	before.unchanged(t, hosts)
	allReachEachOther(t, hosts)
}

func TestNoStartOnAFullDisk(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h := l.Network(1)[0]
	newcomer := l.Host()
	newcomer.Exec(t, "mount", "-t", "tmpfs", "-o", "size=32k,mode=700", "none", newcomer.StateDir)
	t.Cleanup(func() { unix.Unmount(newcomer.StateDir, unix.MNT_DETACH) })
	refuses(t, newcomer.Start("--join", h.Addr.String()), newcomer.StateDir, "full", "make room")
	if nodes, err := h.Table(); err != nil || len(nodes.Nodes) != 1 {
		t.Errorf("the network heard of the node: %+v, %v", nodes, err)
	}
}

// TestDeletedDirectoryMakesANewNode: a host without its key is another node.
// The others keep the old lease for its holder, until they are told to forget
// it.
func TestDeletedDirectoryMakesANewNode(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"while stopped", "while running"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t)
			hosts := l.Network(3)
			h1, h3 := hosts[0], hosts[2]
			before := leasesOf(hosts[:2])
			old := h3.Lease()
			if when == "while running" {
				shell(t, h3, "rm -rf %s", h3.StateDir)
				h4 := l.Host() // host3 has something to write, and no directory
				h4.Start("--join", h1.Addr.String()).WaitReady(ready)
				h3.Daemon.WaitLog("promises and confirms nothing", ready)
				h1.Reachable(t, old.Addr(), 5*time.Second)
				if h3.Lease() != old {
					t.Errorf("host3 has %v, it had %v", h3.Lease(), old)
				}
				h4.MustFlanneld("leave")
			}
			h3.Daemon.Kill()
			shell(t, h3, "rm -rf %[1]s", h3.StateDir)
			h3.Start("--join", h1.Addr.String()).WaitReady(2 * ready)
			if h3.Lease() == old {
				t.Errorf("a node with another key has %v of the one before", old)
			}
			before.unchanged(t, nil)
			different(t, hosts)
			lab.Eventually(t, healed, "the node that was to be dead, and forgotten", func() error {
				nodes, err := h1.Table()
				if err != nil {
					return err
				}
				for _, n := range nodes.Nodes {
					if n.Subnet == old.String() && n.State == "dead" {
						h1.MustFlanneld("forget", n.ID)
						return nil
					}
				}
				return fmt.Errorf("host1 sees %+v", nodes)
			})
			lab.WaitAgreed(t, hosts, 3, healed)
			allReachEachOther(t, hosts)
		})
	}
}

// TestOldCopyOfADirectoryHasTheSameLease: the others have seen a later start
// number than the one in the copy.
func TestOldCopyOfADirectoryHasTheSameLease(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	hosts := l.Network(3)
	h1, h2 := hosts[0], hosts[1]
	before := leasesOf(hosts)
	shell(t, h2, "cp -a %[1]s %[1]s.old", h2.StateDir)
	for range 3 {
		h2.Daemon.Kill()
		h2.Start("--join", h1.Addr.String()).WaitReady(ready)
	}
	h2.Daemon.Kill()
	shell(t, h2, "rm -r %[1]s && mv %[1]s.old %[1]s", h2.StateDir)
	h2.Start("--join", h1.Addr.String()).WaitReady(ready)
	lab.WaitAgreed(t, hosts, 3, healed)
	before.unchanged(t, hosts)
	allReachEachOther(t, hosts)
}

// TestOldCopyOfADirectoryDoesNotTakeASubnetBack: the subnet was handed back,
// and another node has it now and notices nothing.
func TestOldCopyOfADirectoryDoesNotTakeASubnetBack(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	hosts := l.Network(3, "--subnet-min", "10.244.1.0", "--subnet-max", "10.244.3.0") // no more than needed
	h1, h3 := hosts[0], hosts[2]
	subnet := h3.Lease()
	shell(t, h3, "cp -a %[1]s %[1]s.old", h3.StateDir)
	h3.MustFlanneld("leave")
	<-h3.Daemon.Gone()
	h4 := l.Host()
	h4.Start("--join", h1.Addr.String()).WaitReady(ready)
	if h4.Lease() != subnet {
		t.Fatalf("host4 has %v, free was %v", h4.Lease(), subnet)
	}
	all := []*lab.Host{h1, hosts[1], h4}
	before := leasesOf(all)
	talks := converse(t, all, [][2]int{{0, 2}, {2, 1}})
	shell(t, h3, "rm -r %[1]s && mv %[1]s.old %[1]s", h3.StateDir)
	h3.Start("--join", h1.Addr.String()).WaitLog("lease lost", ready)
	lab.Eventually(t, ready, "host3 to name the holder", func() error {
		var s lab.Status
		err := h3.JSON(&s, "status")
		if err == nil && s.Lease.Subnet == subnet.String() {
			err = fmt.Errorf("status has it still")
		}
		if waiting := s.Lease.Waiting; err == nil && !strings.Contains(waiting, "host4") && !strings.Contains(waiting, "no free subnet") {
			err = fmt.Errorf("it says %q", waiting)
		}
		return err
	})
	<-time.After(2 * time.Second) // to see that nothing happens
	inTouch(t, talks)
	before.unchanged(t, all)
	h1.Daemon.WaitLog("host3", ready)
	h4.MustFlanneld("leave")
	lab.Eventually(t, 2*ready, "host3 to have the subnet that came free", func() error {
		s := h3.Status()
		return lab.Expect(s.Lease.State == "confirmed" && s.Lease.Subnet == subnet.String(), "%+v", s.Lease)
	})
	lab.WaitAgreed(t, hosts, 3, healed)
	allReachEachOther(t, hosts)
}

// clone starts a second host with a copy of a host's state directory.
func clone(t *testing.T, l *lab.Lab, of *lab.Host, args ...string) (*lab.Host, *lab.Daemon) {
	t.Helper()
	duplicate := l.Host()
	shell(t, duplicate, "cp -a %s/. %s/", of.StateDir, duplicate.StateDir)
	return duplicate, duplicate.Start(args...)
}

// TestCloneOfTheFounderStops: the clone was told no node to join. It has to
// find the original by the contents of the directory.
func TestCloneOfTheFounderStops(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	hosts := l.Network(3)
	before := leasesOf(hosts)
	talks := converse(t, hosts, [][2]int{{0, 1}, {2, 0}})
	duplicate, d := clone(t, l, hosts[0])
	refuses(t, d, "identity", "cloned disk", hosts[0].Addr.String(), "empty its state directory")
	if strings.Contains(duplicate.Exec(t, "ip", "link"), "flannel0") || duplicate.SubnetFile() != nil {
		t.Error("the clone has set up a device or files")
	}
	inTouch(t, talks)
	lab.WaitAgreed(t, hosts, 3, healed)
	before.unchanged(t, hosts)
}

// TestLaterOfTwoDuplicatesStops: while the original was down its copy took
// over, as after a move to new hardware. Now the original returns.
func TestLaterOfTwoDuplicatesStops(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	hosts := l.Network(3)
	h1, h3 := hosts[0], hosts[2]
	lease := h3.Lease()
	h3.Daemon.Kill()
	duplicate, d := clone(t, l, h3, "--join", h1.Addr.String())
	d.WaitReady(ready)
	if duplicate.Lease() != lease {
		t.Errorf("the copy has %v, the original had %v", duplicate.Lease(), lease)
	}
	<-time.After(12 * time.Second) // until it is not a newcomer any more
	h3.Exec(t, "ip", "link", "delete", "flannel0")
	talks := converse(t, []*lab.Host{h1, duplicate}, [][2]int{{0, 1}})
	refuses(t, h3.Start("--join", h1.Addr.String()), "identity", duplicate.Addr.String())
	inTouch(t, talks)
	all := []*lab.Host{h1, hosts[1], duplicate}
	lab.WaitAgreed(t, all, 3, healed)
	leases{h1: h1.Lease(), duplicate: lease}.unchanged(t, nil)
}

// TestNewcomerIsServedAfterALeaseFileIsLost: a holder that lost its promises
// makes none for a minute. A node that depends on it is served after that.
func TestNewcomerIsServedAfterALeaseFileIsLost(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	hosts := l.Network(2)
	h1, h2 := hosts[0], hosts[1]
	lease := h1.Lease()
	h1.Daemon.Kill()
	shell(t, h1, "rm %s/lease", h1.StateDir)
	h1.Start("--join", h2.Addr.String()).WaitReady(ready)
	if h1.Lease() != lease {
		t.Errorf("it has taken up %v, it had %v", h1.Lease(), lease)
	}
	h3 := l.Host()
	start := time.Now()
	h3.Start("--join", h1.Addr.String()).WaitReady(100 * time.Second)
	t.Logf("served after %.1f s", time.Since(start).Seconds())
	lab.WaitAgreed(t, l.Hosts(), 3, healed)
	leases{h1: lease, h2: h2.Lease()}.unchanged(t, l.Hosts())
}
