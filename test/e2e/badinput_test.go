// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"flanneld/test/lab"
)

func TestWithoutRootItSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	h := lab.New(t).Host()
	for _, dir := range []string{h.StateDir, h.RunDir} {
		if err := os.Chown(dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	// The program's own path may be in a directory of root.
	binary := filepath.Join(h.RunDir, "flanneld")
	h.Exec(t, "install", "-m", "0755", h.Command().Path, binary)
	cmd := through(t, h, `shift; exec `+binary+` "$@"`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	refusedDaemon(t, h, h.StartCommand(cmd), 1, "root", "CAP_NET_ADMIN")
	nothingSetUp(t, h)
}

func TestRootWithoutNetAdminIsRefused(t *testing.T) {
	t.Parallel()
	h := lab.New(t).Host()
	cmd := through(t, h, `exec setpriv --bounding-set -net_admin --inh-caps -net_admin -- "$@"`)
	refusedDaemon(t, h, h.StartCommand(cmd), 1, "CAP_NET_ADMIN")
	nothingSetUp(t, h)
}

func TestWithoutTheTUNDeviceItSaysSo(t *testing.T) {
	t.Parallel()
	h := lab.New(t).Host()
	cmd := through(t, h, `exec unshare -m sh -c 'mount -t tmpfs none /dev/net && exec "$@"' sh "$@"`)
	refusedDaemon(t, h, h.StartCommand(cmd), 1, "/dev/net/tun")
	nothingSetUp(t, h)
}

func TestTakenPortsAreNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		take  func(h *lab.Host) io.Closer
		words []string
	}{
		"data":       {func(h *lab.Host) io.Closer { return h.ListenUDP(t, at(h.Addr, 8285)) }, []string{"8285", "--port"}},
		"gossip TCP": {func(h *lab.Host) io.Closer { return h.Listen(t, at(h.Addr, 8286)) }, []string{"8286", "--gossip-port"}},
		"gossip UDP": {func(h *lab.Host) io.Closer { return h.ListenUDP(t, at(h.Addr, 8286)) }, []string{"8286", "--gossip-port"}},
	} {
		h := lab.New(t).Host()
		taken := c.take(h)
		t.Log(name)
		refused(t, h, 1, nil, c.words...)
		taken.Close()
	}
}

func TestForeignDeviceIsLeftAlone(t *testing.T) {
	t.Parallel()
	for kind, command := range map[string]string{
		"a bridge":            "ip link add flannel0 type bridge",
		"a TUN of another":    "ip tuntap add flannel0 mode tun multi_queue",
		"a single-queue TUN":  "ip tuntap add flannel0 mode tun",
		"one with an address": "ip link add flannel0 type bridge && ip address add 10.9.9.9/32 dev flannel0",
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			h := lab.New(t).Host()
			h.Exec(t, "sh", "-c", command)
			before := h.Exec(t, "ip", "-d", "address", "show", "flannel0")
			d := h.Start()
			refusedDaemon(t, h, d, 1, "flannel0", "--device")
			if after := h.Exec(t, "ip", "-d", "address", "show", "flannel0"); after != before {
				t.Errorf("the device was changed from\n%s to\n%s", before, after)
			}
			if r := h.Flanneld("cleanup"); h.Run(t, "ip", "link", "show", "flannel0").Status != 0 {
				t.Errorf("cleanup removed a device that is not ours: %s", r.Stderr)
			}
		})
	}
}

func TestNetworkThatOverlapsTheHostIsRefused(t *testing.T) {
	t.Parallel()
	t.Run("a route", func(t *testing.T) {
		t.Parallel()
		h := lab.New(t).Host()
		h.Exec(t, "ip", "route", "add", "10.244.128.0/17", "via", lab.Gateway.String())
		refused(t, h, 1, nil, "10.244.0.0/16", "10.244.128.0/17", "eth0", "--network")
	})
	t.Run("a route beside a bridge in the network", func(t *testing.T) {
		t.Parallel()
		h := lab.New(t).Host()
		h.Exec(t, "ip", "link", "add", "br-left", "type", "bridge")
		h.Exec(t, "ip", "address", "add", "10.244.7.1/24", "dev", "br-left")
		h.Exec(t, "ip", "route", "add", "10.244.128.0/17", "via", lab.Gateway.String())
		refused(t, h, 1, nil, "10.244.0.0/16", "10.244.128.0/17", "--network")
		find(t, "an overlap", nil, finding{h, "overlap", "broken", []string{"10.244.128.0/17", "--allow-overlap"}})
	})
	t.Run("a larger network on the link", func(t *testing.T) {
		t.Parallel()
		h := lab.New(t).Host()
		h.Exec(t, "ip", "route", "add", "10.0.0.0/8", "dev", "eth0")
		refused(t, h, 1, nil, "10.244.0.0/16", "10.0.0.0/8", "--network", "--allow-overlap")
	})
	t.Run("the underlay", func(t *testing.T) {
		t.Parallel()
		h := lab.New(t).Host()
		refused(t, h, 1, []string{"--network", "192.168.0.0/16"}, "192.168.0.0/16", "192.168.50.11", "--network")
	})
	t.Run("a joining host's route", func(t *testing.T) {
		t.Parallel()
		l, h1 := founder(t)
		h2 := l.Host()
		h2.Exec(t, "ip", "route", "add", "10.244.3.0/24", "via", lab.Gateway.String())
		refused(t, h2, 1, []string{"--join", h1.Addr.String()}, "10.244.0.0/16", "10.244.3.0/24", "remove that route", "--allow-overlap")
		nodes, err := h1.Nodes()
		if err != nil {
			t.Fatal(err)
		}
		if subnet := nodes.Find("host2").Subnet; subnet != "" {
			t.Errorf("the refused node holds %s", subnet)
		}
	})
}

func TestPinHeldByAnotherNamesTheHolder(t *testing.T) {
	t.Parallel()
	l, h1 := founder(t, "--subnet", "10.244.50.0/24")
	h2 := l.Host()
	refused(t, h2, 1, []string{"--join", h1.Addr.String(), "--subnet", "10.244.50.0/24"}, "10.244.50.0/24", "host1")
	if h1.Lease().String() != "10.244.50.0/24" || h1.Daemon.Ended() {
		t.Error("the holder was disturbed")
	}
}

func TestPinThatDoesNotFitALearnedNetworkIsRefused(t *testing.T) {
	t.Parallel()
	l, h1 := founder(t)
	h2 := l.Host()
	refused(t, h2, 1, []string{"--join", h1.Addr.String(), "--subnet", "10.50.0.0/24"}, "10.50.0.0/24", "10.244.0.0/16")
	h3 := l.Host()
	refused(t, h3, 1, []string{"--join", h1.Addr.String(), "--subnet", "10.244.8.0/25"}, "10.244.8.0/25", "/24")
}

func TestSeedThatDoesNotAnswerIsTriedForEver(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	d := h2.Start("--join", h1.Addr.String()) // host1 does not run yet
	d.WaitLog(h1.Addr.String(), ready)
	s := h2.Status()
	if s.Lease.State == "confirmed" || s.Network.Prefix != "" {
		t.Errorf("without a seed: %+v of %+v", s.Lease, s.Network)
	}
	lab.Eventually(t, ready, "the status to say what is waited for", func() error {
		status := h2.MustFlanneld("status", "--exit-zero")
		return lab.Expect(strings.Contains(status, h1.Addr.String()), "%s", status)
	})
	nothing := func() {
		if h2.SubnetFile() != nil || h2.Run(t, "ip", "link", "show", "flannel0").Status == 0 {
			t.Fatal("something was set up without a network")
		}
	}
	nothing()
	before := strings.Count(d.Log(), "\n")
	<-time.After(6 * time.Second) // to see that nothing happens
	nothing()
	if lines := strings.Count(d.Log(), "\n") - before; lines > 10 {
		t.Errorf("%d lines of log in 6 s of waiting", lines)
	}
	h1.Start().WaitReady(ready)
	d.WaitReady(2 * ready)
	l.WaitConverged(2)
}

func TestSeedThatIsNotFlanneldIsSurvivedAndNamed(t *testing.T) {
	t.Parallel()
	l, h1 := founder(t)
	h2, web := l.Host(), l.Host()
	listener := web.Listen(t, at(web.Addr, 8286))
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func(conn net.Conn) {
				fmt.Fprint(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
				conn.Close()
			}(conn)
		}
	}()
	d := h2.Start("--join", web.Addr.String())
	d.WaitLog(web.Addr.String(), ready)
	if h2.SubnetFile() != nil {
		t.Error("a network was founded")
	}
	if r := h2.Flanneld("join", web.Addr.String()); r.Status != 1 {
		t.Errorf("join of a web server: exit status %d", r.Status)
	} else {
		clearError(t, r.Stderr, web.Addr.String())
	}
	h2.MustFlanneld("join", h1.Addr.String())
	d.WaitReady(ready)
}

func TestNodeOfAnotherNetworkIsRefusedOnBothSides(t *testing.T) {
	t.Parallel()
	l, h1 := founder(t)
	h2 := l.Host()
	h2.Start().WaitReady(ready) // founds another
	r := h2.Flanneld("join", h1.Addr.String())
	if r.Status != 1 {
		t.Errorf("join of another network: exit status %d: %s", r.Status, r.Stdout)
	}
	clearError(t, r.Stderr, "another network")
	h1.Daemon.WaitLog("another network", ready)
	h2.Daemon.WaitLog("another network", ready)
	for _, h := range l.Hosts() {
		nodes, err := h.Nodes()
		if err != nil {
			t.Fatal(err)
		}
		if len(nodes.Nodes) != 1 {
			t.Errorf("%s has taken the other into its table: %+v", h.NodeName, nodes)
		}
	}
}

func TestSecondDaemonOnTheSameStateDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	l, h := founder(t)
	first := h.Daemon
	other := filepath.Join(l.Dir(), "other-run")
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := h.Command("run", "--state-dir", h.StateDir, "--run-dir", other, "--port", "9285", "--gossip-port", "9286", "--device", "flannel9")
	refusedDaemon(t, h, h.StartCommand(cmd), 1, h.StateDir)
	// The same with everything the same, as a second `flanneld run` by mistake.
	refusedDaemon(t, h, h.Start(), 1)
	if first.Ended() || h.MustFlanneld("status") == "" {
		t.Error("the first daemon was disturbed")
	}
	if h.Run(t, "ip", "link", "show", "flannel9").Status == 0 {
		t.Error("a device was left")
	}
	h.Pod().Reachable(t, h.Lease().Addr(), time.Second)
}

func TestMissingAndUnusableDirectories(t *testing.T) {
	t.Parallel()
	t.Run("run directory under a file", func(t *testing.T) {
		t.Parallel()
		h := lab.New(t).Host()
		if err := os.WriteFile(filepath.Join(h.RunDir, "file"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		d := h.Start("--run-dir", filepath.Join(h.RunDir, "file", "run"))
		refusedDaemon(t, h, d, 1, filepath.Join(h.RunDir, "file"))
	})
	t.Run("run directory missing", func(t *testing.T) {
		t.Parallel()
		h := lab.New(t).Host()
		missing := filepath.Join(h.RunDir, "not/there")
		d := h.Start("--run-dir", missing)
		select { // either made or asked for, never half done
		case <-d.Ready():
			mentions(t, "subnet.env", read(t, filepath.Join(missing, "subnet.env")), "FLANNEL_SUBNET")
		case <-time.After(ready):
			t.Fatal("neither ready nor refused")
		case <-d.Gone():
			refusedDaemon(t, h, d, 1, missing)
			nothingSetUp(t, h)
		}
	})
	t.Run("state directory read-only", func(t *testing.T) {
		t.Parallel()
		h := lab.New(t).Host()
		cmd := through(t, h, fmt.Sprintf(`exec unshare -m sh -c 'mount --bind %[1]s %[1]s && mount -o remount,bind,ro %[1]s && exec "$@"' sh "$@"`, h.StateDir))
		refusedDaemon(t, h, h.StartCommand(cmd), 1, h.StateDir, "read-only")
		nothingSetUp(t, h)
	})
	t.Run("state directory full", func(t *testing.T) {
		t.Parallel()
		h := lab.New(t).Host()
		// tmpfs allocates whole pages: there is one, and it is taken.
		cmd := through(t, h, fmt.Sprintf(`exec unshare -m sh -c 'mount -t tmpfs -o size=4k,mode=700 none %[1]s && echo full >%[1]s/filler && exec "$@"' sh "$@"`, h.StateDir))
		refusedDaemon(t, h, h.StartCommand(cmd), 1, h.StateDir, "space")
		nothingSetUp(t, h)
	})
	t.Run("state directory is a file", func(t *testing.T) {
		t.Parallel()
		h := lab.New(t).Host()
		file := filepath.Join(h.RunDir, "state")
		if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		d := h.Start("--state-dir", file)
		refusedDaemon(t, h, d, 1, file)
		if read(t, file) != "mine" {
			t.Error("the file was overwritten")
		}
	})
}

func TestStateFilesThatAreNotAsTheyWereAreKeptAside(t *testing.T) {
	t.Parallel()
	// A state directory as a node in use has it, to damage copies of.
	l, h := founder(t)
	h2 := l.Host()
	h2.Start("--join", h.Addr.String()).WaitReady(ready)
	l.WaitConverged(2)
	h2.Daemon.Stop()
	lease := h2.Lease()
	original := filepath.Join(l.Dir(), "original")
	h2.Exec(t, "cp", "-a", h2.StateDir, original)

	damages := map[string]func([]byte) []byte{
		"garbage":   func(b []byte) []byte { return []byte(strings.Repeat("garbage ", len(b)/8+2)) },
		"truncated": func(b []byte) []byte { return b[:len(b)/2] },
		"empty":     func([]byte) []byte { return nil },
		"flipped":   func(b []byte) []byte { c := append([]byte(nil), b...); c[len(c)/2] ^= 0x10; return c },
		"newer":     func(b []byte) []byte { c := append([]byte(nil), b...); c[11] = 99; return c }, // version, see peers
	}
	tried := 0
	for _, entry := range entries(t, original) {
		info, err := entry.Info()
		if err != nil || !entry.Type().IsRegular() || info.Size() < 12 || entry.Name() == "lock" || entry.Name() == "events" {
			continue // their content is for people
		}
		for name, damage := range damages {
			tried++
			what := name + " " + entry.Name()
			h2.Exec(t, "sh", "-c", fmt.Sprintf("rm -rf %[1]s && cp -a %[2]s %[1]s", h2.StateDir, original))
			path := filepath.Join(h2.StateDir, entry.Name())
			damaged := damage([]byte(read(t, path)))
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			d := h2.Start("--join", h.Addr.String())
			select {
			case <-d.Ready():
			case <-d.Gone():
			case <-time.After(ready):
				t.Errorf("%s: neither ready nor refused:\n%s", what, d.Log())
			}
			if strings.Contains(d.Log(), "panic") {
				t.Errorf("%s: %s", what, d.Log())
			}
			d.WaitLog(entry.Name(), ready)
			if !somewhere(t, h2.StateDir, damaged) {
				t.Errorf("%s: the file is gone and cannot be examined; the directory has %v", what, entries(t, h2.StateDir))
			}
			if !d.Ended() && h2.Lease() != lease {
				t.Logf("%s: came back with %v instead of %v", what, h2.Lease(), lease)
			}
			if !d.Ended() {
				d.Stop()
			}
		}
	}
	if tried < 10 {
		t.Errorf("only %d damages tried, to %v", tried, entries(t, original))
	}
}

// somewhere reports whether a file in the directory has exactly this content.
func somewhere(t *testing.T, dir string, content []byte) bool {
	t.Helper()
	found := false
	filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && read(t, path) == string(content) {
			found = true
		}
		return nil
	})
	return found
}

func TestNameThatDoesNotResolveIsReported(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h := l.Host()
	d := h.Start("--join", "no-such-host.invalid")
	d.WaitLog("no-such-host.invalid", ready)
	if h.SubnetFile() != nil {
		t.Error("a network was founded")
	}
	if status := d.Stop(); status != 0 {
		t.Errorf("exit status %d when asked to stop while joining", status)
	}
}

func TestWorksWithoutIptables(t *testing.T) {
	t.Parallel()
	l, h1 := founder(t)
	h2 := l.Host()
	// A PATH without it: flanneld says so once and carries on.
	empty := filepath.Join(l.Dir(), "bin")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := through(t, h2, `PATH=`+empty+`; export PATH; exec "$@"`, "--ip-masq", "--join", h1.Addr.String())
	d := h2.StartCommand(cmd).WaitReady(ready)
	d.WaitLog("iptables", ready)
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	// Addresses are translated by nf_tables, which needs no command.
	if got := lab.SendTCP(t, p2.Namespace, l.Outside, at(lab.OutsideAddress, 80), 1000); got.Source != h2.Addr {
		t.Errorf("--ip-masq: the outside saw %v", got.Source)
	}
	if got := lab.SendTCP(t, p2.Namespace, p1.Namespace, at(p1.Addr, 80), 1000); got.Source != p2.Addr {
		t.Errorf("--ip-masq: the overlay saw %v", got.Source)
	}
	<-time.After(7 * time.Second) // two checks of the rules
	lines := 0
	for line := range strings.Lines(d.Log()) {
		if containsFold(line, "iptables") {
			lines++
		}
	}
	if lines > 1 {
		t.Errorf("%d lines about iptables:\n%s", lines, d.Log())
	}
}
