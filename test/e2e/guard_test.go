// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// statusText is what `flanneld status -o json` prints, whatever its exit
// status.
func statusText(h *lab.Host) string { return h.Flanneld("status", "-o", "json").Stdout }

// tellsProblem waits until status has a problem with all the words. endsProblem
// waits until it has none with the first word.
func tellsProblem(t *testing.T, h *lab.Host, words ...string) {
	t.Helper()
	lab.Eventually(t, 15*time.Second, fmt.Sprintf("a problem with %q", words), func() error {
		text := statusText(h)
		for _, w := range words {
			if !strings.Contains(text, w) {
				return lab.Expect(false, "no %q in %s", w, text)
			}
		}
		return nil
	})
}

func endsProblem(t *testing.T, h *lab.Host, word string) {
	t.Helper()
	lab.Eventually(t, 15*time.Second, "the problem with "+word+" to end", func() error {
		text := statusText(h)
		return lab.Expect(text != "" && !strings.Contains(text, word), "%s", text)
	})
}

// Files that other programs read, and sockets that commands connect to, are
// restored when they are removed or changed: each alone, and all with their
// directory.
func TestFilesOfTheRunDirectoryComeBack(t *testing.T) {
	t.Parallel()
	_, h := founder(t)
	env, docker := filepath.Join(h.RunDir, "subnet.env"), filepath.Join(h.RunDir, "docker")
	wantEnv, wantDocker := read(t, env), read(t, docker)
	for _, damage := range []string{
		"rm " + env, "rm " + docker, "echo FLANNEL_SUBNET=10.0.0.1/24 >" + env, "truncate -s 0 " + docker,
		"rm " + filepath.Join(h.RunDir, "flanneld.sock"), "rm -r " + h.RunDir, "mv " + h.RunDir + " " + h.RunDir + ".away",
	} {
		h.Exec(t, "sh", "-c", damage)
		start := time.Now()
		lab.Eventually(t, 10*time.Second, "everything to be back after "+damage, func() error {
			haveEnv, _ := os.ReadFile(env)
			haveDocker, _ := os.ReadFile(docker)
			status := h.Flanneld("status", "-o", "json")
			return lab.Expect(string(haveEnv) == wantEnv && string(haveDocker) == wantDocker && strings.Contains(status.Stdout, `"pid"`),
				"subnet.env %q, docker %q, status %s", haveEnv, haveDocker, status.Stderr)
		})
		t.Logf("%s: back after %v", damage, time.Since(start).Round(10*time.Millisecond))
	}
	if n := strings.Count(h.Daemon.Log(), "was removed or changed"); n < 4 {
		t.Errorf("reported %d times", n)
	}
	h.MustFlanneld("leave")
	for _, path := range []string{env, docker, filepath.Join(h.RunDir, "flanneld.sock")} {
		if exists(path) {
			t.Errorf("%s exists after leave", path)
		}
	}
}

// Directories that other users could change are refused before anything is
// set up.
func TestDirectoriesOfOtherUsersAreRefused(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	for _, setting := range []string{"--run-dir", "--state-dir"} {
		for name, prepare := range map[string]string{
			"belongs to user": "mkdir DIR && chown 65534 DIR",
			"written by":      "mkdir -m 777 DIR",
			"mode 0770":       "mkdir -m 770 DIR",
			"symbolic link":   "mkdir DIR.real && ln -s DIR.real DIR",
			"everyone":        "mkdir -m 777 DIR.up && ln -s DIR.up DIR.link && rm -f DIR.none",
		} {
			h := l.Host()
			dir := filepath.Join(l.Dir(), "others-"+h.NodeName)
			h.Exec(t, "sh", "-c", strings.ReplaceAll(prepare, "DIR", dir))
			path := dir
			if name == "everyone" {
				path = dir + ".link/below"
			}
			refused(t, h, 1, []string{setting, path}, setting, name, "chown")
		}
	}
}

// Docker's start, and a flush, are everyday events.
func TestChangesOfFirewallRulesAreNoWarning(t *testing.T) {
	t.Parallel()
	_, h := founder(t)
	h.Exec(t, "sh", "-c", `iptables -w -P FORWARD DROP; iptables -w -N DOCKER-USER; iptables -w -I FORWARD -j DOCKER-USER
		iptables -w -t nat -I POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE`)
	h.Daemon.WaitLog("firewall rules restored", 10*time.Second)
	lab.Eventually(t, 10*time.Second, "the jump to move to DOCKER-USER", func() error {
		rules := h.Exec(t, "iptables", "-w", "-S", "DOCKER-USER")
		return lab.Expect(strings.Contains(rules, "FLANNELD"), "%s", rules)
	})
	for line := range strings.Lines(h.Daemon.Log()) {
		if strings.Contains(line, "rules") && !strings.Contains(line, "level=INFO") {
			t.Errorf("logged %s", line)
		}
	}
	// The operator's rule stays before ours.
	h.Exec(t, "iptables", "-w", "-A", "DOCKER-USER", "-s", "10.244.9.0/24", "-j", "DROP")
	lab.Eventually(t, 15*time.Second, "the jump to move behind the operator's rule", func() error {
		rules := h.Exec(t, "iptables", "-w", "-S", "DOCKER-USER")
		return lab.Expect(strings.Index(rules, "DROP") < strings.Index(rules, "FLANNELD"), "%s", rules)
	})
	// And it stays there.
	time.Sleep(2 * time.Second)
	rules := h.Exec(t, "iptables", "-w", "-S", "DOCKER-USER")
	if strings.Index(rules, "DROP") > strings.Index(rules, "FLANNELD") {
		t.Errorf("the operator's rule was overtaken:\n%s", rules)
	}
}

// An iptables that hangs keeps neither a deleted device nor a start waiting.
func TestIPTablesThatHangsKeepsNothingWaiting(t *testing.T) {
	t.Parallel()
	l, h1 := founder(t)
	h2 := l.Host()
	bin := filepath.Join(l.Dir(), "bin")
	script := `mkdir BIN; printf '#!/bin/sh\ntest -e BIN/hang && sleep 1000\nexec /usr/sbin/iptables "$@"\n' >BIN/iptables; chmod 755 BIN/iptables`
	h2.Exec(t, "sh", "-c", strings.ReplaceAll(script, "BIN", bin))
	h2.StartCommand(through(t, h2, "PATH="+bin+":$PATH exec \"$@\"", "--join", h1.Addr.String())).WaitReady(ready)
	l.WaitConverged(2)
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	h2.Exec(t, "touch", bin+"/hang")
	h2.Exec(t, "iptables", "-w", "-t", "raw", "-F") // so that the guard runs it
	time.Sleep(500 * time.Millisecond)
	h2.Exec(t, "ip", "link", "delete", "flannel0")
	start := time.Now()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	t.Logf("the data plane is back after %v", time.Since(start).Round(10*time.Millisecond))
	tellsProblem(t, h2, "iptables hangs", "was killed")
	h2.Exec(t, "rm", bin+"/hang")
	lab.Eventually(t, 30*time.Second, "the rules to be back", func() error {
		rules := h2.Exec(t, "iptables", "-w", "-t", "raw", "-S")
		return lab.Expect(strings.Contains(rules, "-j FLANNELD"), "%s", rules)
	})
	endsProblem(t, h2, "iptables hangs")
}

// Kernel switches for forwarding are kept on for our device. For other devices
// they are reported.
func TestForwardingSwitchesAreKeptOrNamed(t *testing.T) {
	t.Parallel()
	_, h1, h2 := duo(t)
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	for _, key := range []string{"flannel0.forwarding", "all.forwarding"} {
		h2.Sysctl(t, "net.ipv4.conf."+key, "0")
		start := time.Now()
		lab.Eventually(t, 10*time.Second, key+" to be on again", func() error {
			now := h2.ReadSysctl(t, "net.ipv4.conf."+key)
			return lab.Expect(now == "1", "%s", now)
		})
		p1.Reachable(t, p2.Addr, 10*time.Second)
		t.Logf("%s=0: mended after %v", key, time.Since(start).Round(10*time.Millisecond))
	}
	h2.Sysctl(t, "net.ipv4.conf.default.forwarding", "0")
	h2.Exec(t, "ip", "link", "delete", "flannel0")
	p1.Reachable(t, p2.Addr, 10*time.Second)
	h2.Sysctl(t, "net.ipv4.conf.docker0.forwarding", "0")
	tellsProblem(t, h2, "net.ipv4.conf.docker0.forwarding is 0", "sysctl -w net.ipv4.conf.docker0.forwarding=1")
	h2.Sysctl(t, "net.ipv4.conf.docker0.forwarding", "1")
	endsProblem(t, h2, "conf.docker0.forwarding")
	h2.Sysctl(t, "net.ipv4.conf.all.rp_filter", "1")
	lab.Eventually(t, 10*time.Second, "the device not to filter strictly", func() error {
		now := h2.ReadSysctl(t, "net.ipv4.conf.flannel0.rp_filter")
		return lab.Expect(now == "2", "rp_filter %s", now)
	})
	p1.Reachable(t, p2.Addr, 10*time.Second)
}

// If /proc/sys is read-only, as in a container, a correct switch is not logged,
// and a wrong one is logged once.
func TestReadOnlyProcSysIsLoggedOnce(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	for _, forwarding := range []string{"1", "0"} {
		h := l.Host()
		h.Sysctl(t, "net.ipv4.ip_forward", forwarding)
		script := `exec unshare -m sh -c 'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$@"' sh "$@"`
		h.StartCommand(through(t, h, script)).WaitReady(ready)
		time.Sleep(8 * time.Second)
		told := 0
		for line := range strings.Lines(h.Daemon.Log()) {
			if strings.Contains(line, "ip_forward") {
				told++
			}
		}
		if want := map[string]int{"1": 0, "0": 1}[forwarding]; told != want {
			t.Errorf("ip_forward=%s: reported %d times, want %d\n%s", forwarding, told, want, h.Daemon.Log())
		}
		if has := strings.Contains(statusText(h), "set net.ipv4.ip_forward"); has != (forwarding == "0") {
			t.Errorf("ip_forward=%s: status tells it: %t", forwarding, has)
		}
		if now := h.ReadSysctl(t, "net.ipv4.conf.flannel0.forwarding"); now != "1" {
			t.Errorf("ip_forward=%s: forwarding of the device is %s", forwarding, now)
		}
		h.Daemon.Stop()
	}
}

// Rules of other programs that drop what must pass are reported with the
// command to type, and the firewall is not reported as ok.
func TestRulesThatOverruleOursAreNamed(t *testing.T) {
	t.Parallel()
	_, h := founder(t)
	h.Bridge()
	for _, c := range []struct {
		do, undo string
		words    []string
	}{
		{"iptables-legacy -P FORWARD DROP", "iptables-legacy -P FORWARD ACCEPT", []string{"iptables-legacy", "policy drop of chain FORWARD", "iptables-legacy -P FORWARD ACCEPT"}},
		{"nft add table inet strict; nft add chain inet strict f '{ type filter hook forward priority 0; policy drop; }'", "nft delete table inet strict",
			[]string{"forward of nf_tables' table inet strict", "nft insert rule inet strict f"}},
		{"nft add table inet firewalld; nft add chain inet firewalld f '{ type filter hook forward priority 10; }'; nft add rule inet firewalld f reject with icmpx admin-prohibited",
			"nft delete table inet firewalld", []string{"firewall-cmd --permanent --zone=trusted --add-source=10.244.0.0/16"}},
		{"nft add table inet firewalld; nft add chain inet firewalld i '{ type filter hook input priority 10; policy drop; }'; nft add rule inet firewalld i tcp dport 22 accept",
			"nft delete table inet firewalld", []string{"to the data port (UDP 8285)", "firewall-cmd --permanent --add-port=8285/udp"}},
		{"iptables -w -t mangle -A FORWARD -o flannel0 -j DROP", "iptables -w -t mangle -F FORWARD", []string{"table ip mangle", "rule 1 of chain FORWARD"}},
		{"iptables -w -I DOCKER-USER -j DROP; iptables -w -N DOCKER-USER; iptables -w -I FORWARD -j DOCKER-USER; iptables -w -A DOCKER-USER -j DROP",
			"iptables -w -F DOCKER-USER", []string{"table ip filter", "rule 1 of chain DOCKER-USER"}},
	} {
		h.Exec(t, "sh", "-c", c.do)
		start := time.Now()
		tellsProblem(t, h, append(c.words, `"overruled"`)...)
		t.Logf("%s: reported after %v", c.do, time.Since(start).Round(10*time.Millisecond))
		h.Exec(t, "sh", "-c", c.undo)
		endsProblem(t, h, c.words[0])
		endsProblem(t, h, `"overruled"`)
	}
}

// The guard's cost does not grow with the rules of other programs.
func TestManyRulesCostLittle(t *testing.T) {
	_, h := founder(t)
	h.Exec(t, "sh", "-c", `{ echo '*filter'; echo ':KUBE - [0:0]'; for i in $(seq 20000); do echo "-A KUBE -d 10.99.$((i/250)).$((i%250)) -p tcp -j ACCEPT"; done; echo COMMIT; } | iptables-restore --noflush -w`)
	measure := func(what string, limit float64) {
		t.Helper()
		before, start := cpuSeconds(t, h), time.Now()
		time.Sleep(15 * time.Second)
		share := (cpuSeconds(t, h) - before) / time.Since(start).Seconds()
		t.Logf("%s: %.2f %% of a core", what, share*100)
		if share > limit {
			t.Errorf("%s: %.1f %% of a core", what, share*100)
		}
	}
	time.Sleep(5 * time.Second)
	measure("20,000 rules, idle", 0.02)
	churn := h.Run // a rule that comes and goes in another chain, five times a second
	stop := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Millisecond):
			}
			churn(t, "sh", "-c", "iptables -w -I KUBE -s 10.9.9.9 -j DROP; iptables -w -D KUBE -s 10.9.9.9 -j DROP")
		}
	}()
	measure("20,000 rules, churn", 0.10)
	close(stop)
	<-ended
	start := time.Now()
	h.Exec(t, "iptables", "-w", "-t", "raw", "-F")
	lab.Eventually(t, 10*time.Second, "the rules to be back", func() error {
		rules := h.Exec(t, "iptables", "-w", "-t", "raw", "-S")
		return lab.Expect(strings.Contains(rules, "-j FLANNELD"), "%s", rules)
	})
	t.Logf("a flush is mended after %v", time.Since(start).Round(10*time.Millisecond))
}

// cpuSeconds is what the daemon and the commands that it has run used.
func cpuSeconds(t *testing.T, h *lab.Host) float64 {
	t.Helper()
	times, err := lab.ProcessorTime(h.Daemon.PID())
	if err != nil {
		t.Fatal(err)
	}
	return (times.Own + times.Children).Seconds()
}
