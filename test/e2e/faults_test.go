// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"encoding/json"

	"golang.org/x/sys/unix"

	"flanneld/test/lab"
)

func TestCutThatHealsLeavesEqualTables(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, h3 := l.Trio()
	p1, p2, p3 := h1.Pod(), h2.Pod(), h3.Pod()
	leases := []netip.Prefix{h1.Lease(), h2.Lease(), h3.Lease()}
	talk := lab.Converse(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7001))
	l.Cut(h3)
	h1.WaitState("host3", "dead", 30*time.Second)
	h2.WaitState("host3", "dead", 30*time.Second)
	h3.WaitState("host1", "dead", 60*time.Second)
	// The smaller part grants nothing.
	h4 := l.Host()
	l.Cut(h4)
	l.Wire(h3.Namespace, "eth1", h4.Namespace, "eth1", 1500)
	h3.Exec(t, "ip", "address", "add", "172.30.0.3/24", "dev", "eth1")
	h4.Exec(t, "ip", "address", "add", "172.30.0.4/24", "dev", "eth1")
	h4.Exec(t, "ip", "route", "add", h3.Addr.String()+"/32", "via", "172.30.0.3")
	h3.Exec(t, "ip", "route", "add", h4.Addr.String()+"/32", "via", "172.30.0.4")
	h4.Start("--join", h3.Addr.String())
	h3.WaitState("host4", "alive", 20*time.Second)
	if h4.SubnetFile() != nil {
		t.Error("one host of three, cut off, has handed out a lease")
	}
	l.Heal(h3)
	l.Heal(h4)
	h3.Exec(t, "ip", "route", "delete", h4.Addr.String()+"/32")
	h4.Exec(t, "ip", "route", "delete", h3.Addr.String()+"/32")
	h4.Daemon.WaitReady(60 * time.Second)
	l.WaitConverged(4)
	for i, h := range []*lab.Host{h1, h2, h3} {
		if h.Lease() != leases[i] {
			t.Errorf("%s has %v, it had %v", h.NodeName, h.Lease(), leases[i])
		}
	}
	p3.Reachable(t, p1.Addr, 10*time.Second)
	h4.Pod().Reachable(t, p3.Addr, 10*time.Second)
	if err := talk.Stop(); err != nil {
		t.Errorf("the others were disturbed: %v", err)
	}
}

func TestPausedDaemonComesBackWithItsLease(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, _ := l.Trio()
	p1, p2 := h1.Pod(), h2.Pod()
	lease := h2.Lease()
	h2.Daemon.Signal(unix.SIGSTOP)
	h1.WaitState("host2", "dead", 40*time.Second)
	h2.Daemon.Signal(unix.SIGCONT)
	l.WaitConverged(3)
	if h2.Lease() != lease || h2.Daemon.Ended() {
		t.Errorf("after a pause host2 has %v, it had %v", h2.Lease(), lease)
	}
	p1.Reachable(t, p2.Addr, 10*time.Second)
}

func TestCloneOfALiveNodeStopsBeforeItDoesHarm(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, _ := l.Trio()
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	clone := l.Host()
	clone.Exec(t, "sh", "-c", "cp -a "+h2.StateDir+"/. "+clone.StateDir+"/ && rm -f "+clone.StateDir+"/lock")
	talk := lab.Converse(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7001))
	d := clone.Start("--join", h1.Addr.String())
	refusedDaemon(t, clone, d, 1, "identity")
	if clone.Run(t, "ip", "link", "show", "flannel0").Status == 0 || clone.SubnetFile() != nil {
		t.Error("the clone has set up a device or files")
	}
	talk.GoesOn(t, 5*time.Second, 20)
	if err := talk.Stop(); err != nil {
		t.Error(err)
	}
	if h2.Daemon.Ended() || h1.Daemon.Ended() {
		t.Error("the original ended")
	}
	l.WaitConverged(3)
}

func TestDiskThatFillsUpCostsNoLease(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	h2.Exec(t, "mount", "-t", "tmpfs", "-o", "size=512k,mode=700", "none", h2.StateDir)
	t.Cleanup(func() { unix.Unmount(h2.StateDir, unix.MNT_DETACH) })
	h1.Start().WaitReady(ready)
	h2.Start("--join", h1.Addr.String()).WaitReady(ready)
	l.WaitConverged(2)
	lease := h2.Lease()
	filler := filepath.Join(h2.StateDir, "filler")
	h2.Run(t, "dd", "if=/dev/zero", "of="+filler, "bs=1k")
	// Another node joins meanwhile; host1's promise is not enough, and host2
	// cannot give one.
	h3 := l.Host()
	h3.Start("--join", h1.Addr.String())
	h1.WaitState("host3", "alive", ready)
	h1.Pod().Reachable(t, h2.Pod().Addr, 5*time.Second)
	h2.Daemon.Kill()
	d := h2.Start("--join", h1.Addr.String())
	select {
	case <-d.Ready():
	case <-d.Gone():
		refusedDaemon(t, h2, d, 1, "space")
	case <-time.After(ready):
		t.Errorf("neither ready nor refused:\n%s", d.Log())
	}
	d.Kill()
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	h2.Start("--join", h1.Addr.String()).WaitReady(ready)
	if h2.Lease() != lease {
		t.Errorf("a full disk made %v of %v", h2.Lease(), lease)
	}
	h3.Daemon.WaitReady(2 * ready)
	l.WaitConverged(3)
}

func TestOthersMayNotTalkToTheDaemon(t *testing.T) {
	t.Parallel()
	_, h := founder(t)
	info, err := os.Stat(filepath.Join(h.RunDir, "flanneld.sock"))
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket has mode %v, %v", info.Mode(), err)
	}
	info, err = os.Stat(h.StateDir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the state directory has mode %v, %v", info.Mode(), err)
	}
	binary := filepath.Join(h.RunDir, "flanneld")
	h.Exec(t, "install", "-m", "0755", h.Command().Path, binary)
	cmd := exec.Command(binary, "leave", "--run-dir", h.RunDir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	r := h.RunCommand(t, cmd)
	if r.Status != 1 {
		t.Errorf("leave as user nobody: exit status %d", r.Status)
	}
	clearError(t, r.Stderr, "root")
	if h.Daemon.Ended() {
		t.Error("the user nobody could stop the daemon")
	}
}

func TestLogIsJSONWhereAskedFor(t *testing.T) {
	t.Parallel()
	_, h := founder(t, "--log-format", "json", "--log-level", "debug")
	h.Daemon.Stop() // so that the last line is whole
	for line := range strings.Lines(h.Daemon.Log()) {
		var entry struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Level == "" || entry.Msg == "" {
			t.Errorf("%v: %s", err, line)
		}
	}
}

// TestQuietNetworkLogsNothing does not run beside others: on a machine that is
// too busy nodes suspect each other, and say so.
func TestQuietNetworkLogsNothing(t *testing.T) {
	l := lab.New(t)
	h1, h2, _ := l.Trio()
	p1, p2 := h1.Pod(), h2.Pod()
	lab.SendTCP(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7000), 1<<20)
	lab.Eventually(t, ready, "the short-cut to be at the new bridge", func() error {
		return lab.Expect(!h1.Status().Shortcut.Ready || strings.Contains(h1.Daemon.Log(), "attached program bridge"), "no line of it")
	})
	before := h1.Daemon.Log()
	lab.SendTCP(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7000), 32<<20)
	lab.SendUDP(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7000), 500, 500)
	<-time.After(7 * time.Second) // to see that nothing happens
	if said := strings.TrimPrefix(h1.Daemon.Log(), before); said != "" {
		t.Errorf("with nothing but traffic it says:\n%s", said)
	}
}
