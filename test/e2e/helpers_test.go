// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// ready is how long a daemon may take to be ready on a busy machine.
const ready = 20 * time.Second

// at makes an address and a port of a pod, a host or a container.
func at(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

// mentions fails the test unless the text contains every word, without regard
// to case.
func mentions(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(strings.ToLower(text), strings.ToLower(word)) {
			t.Errorf("%s does not mention %q:\n%s", what, word, text)
		}
	}
}

// clearError fails the test unless the text ends in one line that mentions all
// the words. No usage text, stack or second error may follow.
func clearError(t *testing.T, text string, words ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(text), "\n")
	last := lines[len(lines)-1]
	mentions(t, "the error", last, words...)
	for _, bad := range []string{"panic:", "goroutine ", "Usage:", "\nError:"} {
		if strings.Contains(text, bad) {
			t.Errorf("the output has %q:\n%s", bad, text)
		}
	}
	if n := len([]rune(last)); n > 400 {
		t.Errorf("the error is %d characters long: %s", n, last)
	}
}

// refused runs `flanneld run` with the arguments, which has to end by itself
// with the exit status and a clear error, and leave nothing behind.
func refused(t *testing.T, h *lab.Host, status int, args []string, words ...string) {
	t.Helper()
	d := h.Start(args...)
	refusedDaemon(t, h, d, status, words...)
	nothingSetUp(t, h)
}

func refusedDaemon(t *testing.T, h *lab.Host, d *lab.Daemon, status int, words ...string) {
	t.Helper()
	if got := d.WaitEnd(ready); got != status {
		t.Errorf("exit status %d, want %d", got, status)
	}
	clearError(t, d.Log(), words...)
}

// nothingSetUp fails the test if something of flanneld is on the host.
func nothingSetUp(t *testing.T, h *lab.Host) {
	t.Helper()
	if strings.Contains(h.Run(t, "ip", "-d", "link", "show").Stdout, "alias flanneld") {
		t.Errorf("%s has an overlay device: %s", h.NodeName, h.Exec(t, "ip", "link", "show"))
	}
	if routes := h.Exec(t, "ip", "route"); strings.Contains(routes, "flannel0") {
		t.Errorf("%s has routes: %s", h.NodeName, routes)
	}
	if rules := firewall(t, h); strings.Contains(rules, "FLANNELD") || strings.Contains(rules, "flanneld") {
		t.Errorf("%s has rules:\n%s", h.NodeName, rules)
	}
	for _, name := range []string{"subnet.env", "docker", "flanneld.sock"} {
		if exists(filepath.Join(h.RunDir, name)) {
			t.Errorf("%s has a %s", h.NodeName, name)
		}
	}
}

// firewall lists the host's rules as they are made, without counters.
func firewall(t *testing.T, h *lab.Host) string {
	t.Helper()
	var all strings.Builder
	for _, table := range []string{"raw", "filter", "nat"} {
		all.WriteString("*" + table + "\n" + h.Exec(t, "iptables", "-w", "-t", table, "-S"))
	}
	all.WriteString(h.Run(t, "nft", "list", "table", "ip", "flanneld-identity-flannel0").Stdout)
	return all.String()
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// through makes a `flanneld run` of the host that a shell script starts: the
// script sees the whole command as "$@" and has to exec it.
func through(t *testing.T, h *lab.Host, script string, args ...string) *exec.Cmd {
	t.Helper()
	run := h.Command(append([]string{"run", "--state-dir", h.StateDir, "--run-dir", h.RunDir, "--node-name", h.NodeName}, args...)...)
	cmd := exec.Command("sh", append([]string{"-c", script, "sh"}, run.Args...)...)
	cmd.Env = run.Env
	return cmd
}

// founder makes a lab with one host that has founded a network.
func founder(t *testing.T, args ...string) (*lab.Lab, *lab.Host) {
	t.Helper()
	l := lab.New(t)
	h := l.Host()
	h.Start(args...).WaitReady(ready)
	return l, h
}

// duo makes a lab with two hosts that form one network.
func duo(t *testing.T, args ...string) (l *lab.Lab, h1, h2 *lab.Host) {
	t.Helper()
	l, h1 = founder(t, args...)
	h2 = l.Host()
	h2.Start(append(args, "--join", h1.Addr.String())...).WaitReady(ready)
	l.WaitConverged(2)
	return l, h1, h2
}

// unheld is an address in a subnet of 10.244.0.0/16 that none of the hosts
// holds.
func unheld(hosts ...*lab.Host) netip.Addr {
	held := map[netip.Prefix]bool{}
	for _, h := range hosts {
		held[h.Lease()] = true
	}
	for n := byte(255); ; n-- {
		if p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, n, 0}), 24); !held[p] {
			return p.Addr().Next()
		}
	}
}

// extremes runs a scenario of the data path twice: with every offload that this
// kernel has, and with none. The scenario gives the setting to its daemons.
func extremes(t *testing.T, scenario func(t *testing.T, offload string)) {
	t.Helper()
	for _, offload := range []string{"auto", "off"} {
		t.Run("offload="+offload, func(t *testing.T) { scenario(t, offload) })
	}
}

// edge is what a daemon is started with in such a scenario. Without offloads it
// is without the short-cut, too, and user space does it all.
func edge(offload string, more ...string) []string {
	args := []string{"--offload", offload}
	if offload == "off" {
		args = append(args, "--shortcut", "off")
	}
	return append(args, more...)
}

// backends are the paths that every kernel has. Each has flanneld behind it.
var backends = []string{"vxlan,udp", "host-gw,udp"}

// eachBackend runs a scenario over each kernel path. The scenario gives the
// setting to its daemons, and asks for [kernelCarries].
func eachBackend(t *testing.T, scenario func(t *testing.T, backend string)) {
	t.Helper()
	for _, backend := range backends {
		t.Run("backend="+backend, func(t *testing.T) {
			t.Parallel()
			scenario(t, backend)
		})
	}
}

// kernelCarries waits until the kernel carries packets from each host to each
// other one by the first path of the backend list. Nothing waits for udp.
func kernelCarries(t *testing.T, backend string, hosts ...*lab.Host) {
	t.Helper()
	kernelCarriesWithin(t, proven, backend, hosts...)
}

// kernelCarriesWithin is kernelCarries with a limit: after a fault, a path may
// have been left.
func kernelCarriesWithin(t *testing.T, limit time.Duration, backend string, hosts ...*lab.Host) {
	t.Helper()
	device := map[string]string{"vxlan": " dev flannel.1 ", "host-gw": " dev eth0 ", "auto": " dev eth0 ", "ipip": " dev flannel.ipip "}
	first, _, _ := strings.Cut(backend, ",")
	if first == "udp" {
		return
	}
	lab.WaitKernelPaths(hosts, limit, device[first])
}

// nothingArrived fails the test if a packet is waiting in the socket, or comes
// within a moment.
func nothingArrived(t *testing.T, sink *net.UDPConn) {
	t.Helper()
	sink.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, from, err := sink.ReadFromUDPAddrPort(make([]byte, 2000)); err == nil {
		t.Errorf("%d bytes from %v got through", n, from)
	}
}

// dropsGrow waits until the host has dropped n packets more than before.
func dropsGrow(t *testing.T, h *lab.Host, before, n uint64) {
	t.Helper()
	lab.Eventually(t, 5*time.Second, fmt.Sprintf("%d drops", n), func() error {
		now, reasons := dropped(h)
		return lab.Expect(now >= before+n, "%v", reasons)
	})
}

// dropped returns the sum of all drops, and their reasons for messages.
func dropped(h *lab.Host) (sum uint64, reasons map[string]uint64) {
	reasons = h.Status().Drops
	for _, n := range reasons {
		sum += n
	}
	return sum, reasons
}

func containsFold(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}
