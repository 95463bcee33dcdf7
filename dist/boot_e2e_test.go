// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package dist

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"flanneld/internal/host/shortcut"
)

// cgroup makes a group of the version 2 hierarchy, wherever that is mounted,
// for a systemd of its own.
func cgroup(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); f[2] == "cgroup2" {
			dir, err := os.MkdirTemp(f[1], "flanneld-dist-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { removeGroups(dir) })
			return dir
		}
	}
	t.Fatal("no cgroup2 hierarchy is mounted, systemd cannot boot without")
	return ""
}

// removeGroups removes the group and those below; each has only kernel files.
func removeGroups(dir string) {
	var groups []string
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			groups = append([]string{path}, groups...) // deepest first
		}
		return nil
	})
	for _, g := range groups {
		os.Remove(g)
	}
}

// scene boots a systemd with flanneld and docker.service installed, runs a
// script of testdata there, and returns what that saw. The setting is a line of
// the environment file; environment goes to the script.
func scene(t *testing.T, script, setting string, environment ...string) map[string]string {
	t.Helper()
	dir, ctx := t.TempDir(), t.Context()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, "flanneld"), "flanneld/cmd/flanneld")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	write("flanneld.service", unit(t, "/mnt"))
	write("flanneld.default", read(t, "flanneld.default")+setting+"\n")
	write("docker-flanneld.conf", read(t, "docker-flanneld.conf"))
	write("inside.sh", read(t, "testdata/"+script))
	write("other.sh", read(t, "testdata/other.sh"))
	write("environment", strings.Join(environment, "\n")+"\n")

	return boot(t, dir, "testdata/boot.sh", dir, cgroup(t))
}

// boot runs a script that boots a systemd, with a folder for its results, and
// returns what was seen inside.
func boot(t *testing.T, dir, script string, args ...string) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	go endAfter(ctx, cancel, filepath.Join(dir, "result"))
	cmd := exec.CommandContext(ctx, script, args...)
	cmd.WaitDelay = 10 * time.Second
	console, err := cmd.CombinedOutput()
	inside, _ := os.ReadFile(filepath.Join(dir, "inside.log"))
	journal, _ := os.ReadFile(filepath.Join(dir, "journal"))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("console:\n%s\ninside.sh:\n%s\njournal of flanneld:\n%s", console, inside, journal)
		}
	})
	result, readErr := os.ReadFile(filepath.Join(dir, "result"))
	switch atEnd := bytes.Contains(result, []byte(lastResult)); {
	case err != nil && atEnd:
		t.Logf("systemd was killed: it did not exit within %v after the script", exitTime)
	case err != nil || readErr != nil:
		t.Fatalf("boot: %v, %v", err, readErr)
	}
	seen := map[string]string{"journal": string(journal)}
	for line := range strings.Lines(string(result)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		seen[name] = value
	}
	return seen
}

const (
	// lastResult is what a script says last.
	lastResult = "end=here"
	// exitTime is how long systemd may take to exit after that. In a namespace
	// it sometimes waits for ever, with nothing but its journal running.
	exitTime = 15 * time.Second
)

// endAfter ends a boot when the script has come to its end, and systemd does
// not exit.
func endAfter(ctx context.Context, end context.CancelFunc, resultFile string) {
	for atEnd := false; !atEnd; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
		result, _ := os.ReadFile(resultFile) // not there yet: nothing is in it
		atEnd = bytes.Contains(result, []byte(lastResult))
	}
	select {
	case <-ctx.Done():
	case <-time.After(exitTime):
		end()
	}
}

// expectation compares what a script saw.
func expectation(t *testing.T, seen map[string]string) func(why, name, want string) {
	return func(why, name, want string) {
		t.Helper()
		if seen[name] != want {
			t.Errorf("%s: %s is %q, want %q", why, name, seen[name], want)
		}
	}
}

// TestUnitsWorkTogether needs systemd, dockerd and containerd installed.
func TestUnitsWorkTogether(t *testing.T) {
	seen := scene(t, "inside.sh", "FLANNELD_IFACE=lo")
	expect := expectation(t, seen)
	expect("starting Docker starts flanneld first", "flanneld", "active")
	expect("dockerd takes its command line", "docker", "active")
	expect("docker0 is in the lease", "bridge", seen["subnet"])
	expect("the sandbox lets ip_forward be set", "forwarding", "1")
	expect("the sandbox lets iptables work", "chain-raw", "-N FLANNELD-flannel0")
	expect("the sandbox lets iptables work", "chain-filter", "-N FLANNELD-flannel0")
	expect("modes of state directory, run directory, files", "state", "700 755 644 644")
	expect("CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_NICE, CAP_PERFMON and CAP_BPF, nothing else", "capabilities", "000000c000803000")
	expect("SIGHUP is no end", "reloaded", "0 active")
	same := seen["index"] + " " + seen["subnet"]
	expect("device and lease outlive a restart", "restarted", same)
	expect("device and lease outlive a crash", "killed", same)
	expect("asked to stop is success", "stopped", "success 0")
	expect("files and device are kept", "kept", "/run/flannel/docker /run/flannel/subnet.env "+seen["index"])
	expect("a wrong setting is not tried again", "wrong", "failed 2")
	expect("inside.sh came to its end", "end", "here")
	if seen["subnet"] == "" || seen["index"] == "" {
		t.Errorf("no lease or device: %q", seen)
	}
}

// The sandbox of the unit lets the daemon load the programs of the short-cut,
// attach, pin and remove them. They stay when it stops. Where no BPF file
// system is mounted, or the kernel has no tcx, status says so.
func TestUnitHasTheShortcut(t *testing.T) {
	seen := scene(t, "shortcut.sh", "FLANNELD_IFACE=under0")
	expect := expectation(t, seen)
	expect("shortcut.sh came to its end", "end", "here")
	if lacks, old := shortcut.Probe(); old {
		t.Logf("this kernel: %s", lacks)
		for _, name := range []string{"mounted", "again"} {
			if !strings.Contains(seen[name], "Linux 6.6") {
				t.Errorf("%s: %q", name, seen[name])
			}
		}
		return
	}
	if !strings.Contains(seen["unmounted"], "no bpf file system is at /sys/fs/bpf") || !strings.HasSuffix(seen["unmounted"], ", 0 pins") {
		t.Errorf("without a file system for pins: %q", seen["unmounted"])
	}
	ready := "the kernel carries udp to 0 peers, 3 pins"
	expect("one that is mounted later is found", "late", ready)
	expect("the programs are in place", "mounted", ready)
	expect("they stay", "stopped", "3 pins")
	expect("the next start takes them over", "again", ready)
	if !strings.Contains(seen["removed"], "a restart") || !strings.HasSuffix(seen["removed"], ", 0 pins") {
		t.Errorf("without the directory that the sandbox lets it write to: %q", seen["removed"])
	}
	expect("then no devices are made again and again", "removed-made", "0")
	expect("a restart makes it", "restarted", ready)
	expect("to leave takes them away", "left", "0 0 pins, links: 0")
}

// The sandbox of the unit lets the daemon have every path that the kernel has.
func TestUnitHasEveryPath(t *testing.T) {
	t.Parallel()
	seen := scene(t, "paths.sh", "FLANNELD_IFACE=under0")
	expect := expectation(t, seen)
	expect("paths.sh came to its end", "end", "here")
	if lacks, old := shortcut.Probe(); old {
		t.Logf("this kernel: %s", lacks)
	} else {
		expect("the short-cut carries the udp format", "udp", "udp (kernel)")
	}
	expect("the VXLAN device is made and proven", "vxlan", "vxlan")
	expect("the direct path is proven", "host-gw", "direct")
}

// The sandbox of the unit leaves what the daemon does beside carrying packets:
// commands that find nodes, HTTP, traces, repairs, both kinds of iptables, key
// files. docs/joining.md says what a command cannot do.
func TestUnitLetsTheDaemonWork(t *testing.T) {
	seen := scene(t, "work.sh", "FLANNELD_IFACE=under0")
	expect := expectation(t, seen)
	expect("work.sh came to its end", "end", "here")
	expect("a command has what docs/joining.md says", "exec",
		"home=none names=resolved python=runs tmp=writable etc=read-only home=hidden other=unreadable user=stays ping=fails code=refused")
	expect("the command's address is joined", "joined", "2")
	for _, page := range []string{"metrics", "healthz", "readyz"} {
		expect("HTTP is served", page, "yes")
	}
	expect("a trace goes through a bridge", "trace", "arrived")
	expect("what others take away is put back", "repaired", "0")
	expect("nothing is taken from a daemon that runs", "cleanup", "flanneld is running")
	expect("there is no problem", "problems", "")
	expect("iptables over nf_tables needs no module", "modules", "")
	expect("to leave takes the rules away", "left", "0 0")
	expect("the unit loads what iptables-legacy would load", "legacy-modules", "-q ip_tables")
	expect("iptables-legacy has the rules", "legacy", "1")
	expect("iptables-legacy gets them back", "legacy-repaired", "0")
	expect("to leave takes them away", "legacy-left", "0 0")
	expect("a sealed network is founded", "sealed", "sealed gossip yes, data yes")
	expect("systemctl reload reads the key again", "reloaded", "0")
}

// A setting that the sandbox of the unit forbids is refused before anything is
// set up. The message has the line for a drop-in, and that line suffices.
func TestUnitSaysWhatItForbids(t *testing.T) {
	t.Parallel()
	seen := scene(t, "forbidden.sh", "FLANNELD_IFACE=under0")
	expect := expectation(t, seen)
	expect("forbidden.sh came to its end", "end", "here")
	for name, words := range map[string][]string{
		"metrics":     {"--metrics 127.0.0.1:80", "CapabilityBoundingSet=CAP_NET_BIND_SERVICE"},
		"port":        {"443", "CapabilityBoundingSet=CAP_NET_BIND_SERVICE"},
		"gossip":      {"--gossip-port", "CapabilityBoundingSet=CAP_NET_BIND_SERVICE"},
		"subnet-file": {"--subnet-file", "ReadWritePaths=/etc/elsewhere"},
		"docker-file": {"--docker-file", "ReadWritePaths=/etc/elsewhere"},
		"run-dir":     {"--run-dir", "ReadWritePaths=/etc/run"},
		"state-dir":   {"--state-dir", "ReadWritePaths=/etc/state"},
		"state-home":  {"--state-dir", "/root", "hides"},
		"key-file":    {"--key-file", "/etc", "hides"},
	} {
		if !strings.HasPrefix(seen[name], "failed flanneld: ") {
			t.Errorf("%s: %q", name, seen[name])
		}
		for _, word := range words {
			if !strings.Contains(seen[name], word) {
				t.Errorf("%s: %q does not say %q", name, seen[name], word)
			}
		}
	}
	expect("the capability suffices", "ports-permitted", "active endpoint   192.168.77.9:443, gossip 192.168.77.9:444")
	expect("the paths suffice", "places-permitted", "active /etc/elsewhere/subnet.env /etc/run/docker /etc/state/lease")
}

// bootDelayVariable is after how many seconds the underlay address comes in
// TestColdBootWithoutAnAddress.
const bootDelayVariable = "FLANNELD_TEST_BOOT_DELAY"

// TestColdBootWithoutAnAddress needs what TestUnitsWorkTogether does, and a
// static busybox. Another node runs in a network namespace of its own.
func TestColdBootWithoutAnAddress(t *testing.T) {
	delay := os.Getenv(bootDelayVariable)
	if delay == "" {
		delay = "60"
	}
	if n, err := strconv.Atoi(delay); err != nil || n < 15 {
		t.Fatalf("%s=%s: not a number of seconds from 15 on", bootDelayVariable, delay)
	}
	start := time.Now()
	seen := scene(t, "cold.sh", "FLANNELD_JOIN=192.168.77.1", "DELAY="+delay)
	t.Logf("address after %s s, Docker active %s s later, whole scene %v", delay, seen["docker-after"], time.Since(start).Round(time.Second))
	expect := expectation(t, seen)
	expect("a flanneld that fails is tried again", "failing", "activating")
	if n, err := strconv.Atoi(seen["docker-tries"]); err != nil || n < 4 {
		t.Errorf("Docker was tried %s times while flanneld failed, want more than its own unit allows in a minute", seen["docker-tries"])
	}
	expect("flanneld waits, and Docker with it", "waiting", "activating inactive")
	if !strings.HasPrefix(seen["status"], "waiting for the underlay: ") || !strings.Contains(seen["status"], "no default route") {
		t.Errorf("systemctl status says %q", seen["status"])
	}
	expect("flanneld status says so, too", "asked", "yes")
	expect("the end of the wait", "flanneld", "active")
	expect("the end of the wait", "docker", "active")
	expect("docker0 is in the lease", "bridge", seen["subnet"])
	expect("a container is reached from another node", "reached", "yes")
	expect("flanneld did not fail meanwhile", "restarts", "0")
	expect("cold.sh came to its end", "end", "here")
}
