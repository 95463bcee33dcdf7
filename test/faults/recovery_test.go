// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package faults

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/test/lab"
)

// TestDamagedNetworkIsReplacedByAReset: the state of several hosts is damaged,
// and the network is discarded. All hosts are reset and started in any order.
// Each has its subnet again, and connections of containers continue.
func TestDamagedNetworkIsReplacedByAReset(t *testing.T) {
	t.Parallel()
	random := randomness(seed(t), 400)
	l := lab.New(t)
	hosts := l.Network(5)
	before := leasesOf(hosts)
	pods := make([]*lab.Pod, len(hosts))
	for i, h := range hosts {
		pods[i] = h.Pod()
	}
	talk := lab.Converse(t, pods[0].Namespace, pods[1].Namespace, at(pods[1].Addr, 7001))
	old := networkOf(t, hosts[0])
	<-time.After(2 * time.Second) // the node table is written within a second
	for i := range random.Perm(len(hosts)) {
		hosts[i].Daemon.Kill()
	}
	shell(t, hosts[0], "truncate -s 100 %s/lease", hosts[0].StateDir)
	shell(t, hosts[1], "rm %s/lease", hosts[1].StateDir)
	shell(t, hosts[2], "rm -r %s/*; ip link delete flannel0", hosts[2].RunDir) // it was switched off
	shell(t, hosts[3], "dd if=/dev/urandom of=%s/nodes bs=500 count=1 conv=notrunc status=none", hosts[3].StateDir)
	for _, h := range hosts {
		if out := h.MustFlanneld("reset"); !strings.Contains(out, before[h].String()) {
			t.Errorf("reset of %s does not name %s:\n%s", h.NodeName, before[h], out)
		}
	}
	founder := hosts[random.IntN(len(hosts))]
	t.Logf("%s founds", founder.NodeName)
	for _, i := range random.Perm(len(hosts)) {
		if h := hosts[i]; h == founder {
			h.Start()
		} else {
			h.Start("--join", founder.Addr.String())
		}
	}
	for _, h := range hosts {
		h.Daemon.WaitReady(2 * ready)
	}
	lab.WaitAgreed(t, hosts, len(hosts), healed)
	before.unchanged(t, hosts)
	if networkOf(t, hosts[0]) == old {
		t.Error("it is the network that was given up")
	}
	allReachEachOther(t, hosts)
	talk.GoesOn(t, ready, 10)
	if err := talk.Stop(); err != nil {
		t.Errorf("the connection broke: %v", err)
	}
}

func networkOf(t *testing.T, h *lab.Host) string {
	t.Helper()
	var s struct {
		Network struct {
			ID string `json:"id"`
		} `json:"network"`
	}
	if err := h.JSON(&s, "status"); err != nil {
		t.Fatal(err)
	}
	return s.Network.ID
}

// TestResetOfSomeHostsOnly: a host that joins is back in the old network, with
// its subnet. A host that founds is apart, both sides report it, and the others
// follow it once they are reset.
func TestResetOfSomeHostsOnly(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	hosts := l.Network(3)
	h1 := hosts[0]
	before := leasesOf(hosts)
	old := networkOf(t, h1)

	hosts[2].Daemon.Stop()
	hosts[2].MustFlanneld("reset")
	hosts[2].Start("--join", h1.Addr.String()).WaitReady(ready)
	lab.WaitAgreed(t, hosts, 3, healed)
	before.unchanged(t, hosts)
	if networkOf(t, hosts[2]) != old {
		t.Error("the host that joined again is in another network")
	}

	h1.Daemon.Stop()
	h1.MustFlanneld("reset")
	h1.Start().WaitReady(ready)
	if networkOf(t, h1) == old {
		t.Error("the host that founds is in the network that was given up")
	}
	hosts[1].Daemon.WaitLog("another network", healed) // it was told to join h1
	for _, h := range hosts[1:] {
		h.Daemon.Stop()
		h.MustFlanneld("reset")
		h.Start("--join", h1.Addr.String())
	}
	for _, h := range hosts[1:] {
		h.Daemon.WaitReady(ready)
	}
	lab.WaitAgreed(t, hosts, 3, healed)
	before.unchanged(t, hosts)
	allReachEachOther(t, hosts)
}

func TestResetThatCannotWriteCostsNoLease(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	hosts := l.Network(2)
	h2 := hosts[1]
	before := leasesOf(hosts)
	if r := h2.Flanneld("reset"); r.Status != 1 || !strings.Contains(r.Stderr, "stop it first") {
		t.Errorf("while it runs: %+v", r)
	}
	h2.Daemon.Stop()
	shell(t, h2, "mount --bind %[1]s %[1]s && mount -o remount,bind,ro %[1]s", h2.StateDir)
	t.Cleanup(func() { unix.Unmount(h2.StateDir, unix.MNT_DETACH) })
	if r := h2.Flanneld("reset"); r.Status != 1 || !strings.Contains(r.Stderr, "read-only") {
		t.Errorf("read-only: %+v", r)
	}
	unix.Unmount(h2.StateDir, unix.MNT_DETACH)

	shell(t, h2, "cp -a %[1]s %[1]s.kept && mount -t tmpfs -o size=32k,mode=700 none %[1]s && cp %[1]s.kept/* %[1]s/", h2.StateDir)
	if r := h2.Flanneld("reset"); r.Status != 1 || !strings.Contains(r.Stderr, "make room") {
		t.Errorf("full: %+v", r)
	}
	shell(t, h2, "cmp %[1]s/lease %[1]s.kept/lease && cmp %[1]s/nodes %[1]s.kept/nodes", h2.StateDir)
	unix.Unmount(h2.StateDir, unix.MNT_DETACH)
	h2.Start("--join", hosts[0].Addr.String()).WaitReady(ready)
	lab.WaitAgreed(t, hosts, 2, healed)
	before.unchanged(t, hosts)
}
