// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/test/lab"
)

// sealedTrio starts three hosts of a sealed network. The first one makes the
// key.
func sealedTrio(t *testing.T, l *lab.Lab) (h1, h2, h3 *lab.Host) {
	t.Helper()
	h1, h2, h3 = l.Host(), l.Host(), l.Host()
	h1.Start("--sealed").WaitReady(ready)
	for _, h := range []*lab.Host{h2, h3} {
		startSealed(h, h1).WaitReady(ready)
	}
	l.WaitConverged(3)
	return h1, h2, h3
}

// sealedDuo starts two hosts of a sealed network, and a pod on each. The second
// pod is to be reached within a time.
func sealedDuo(t *testing.T, l *lab.Lab, first, second *lab.Host, within time.Duration) (p1, p2 *lab.Pod) {
	t.Helper()
	first.Start("--sealed").WaitReady(ready)
	startSealed(second, first).WaitReady(ready)
	l.WaitConverged(2)
	p1, p2 = first.Pod(), second.Pod()
	p1.Reachable(t, p2.Addr, within)
	return p1, p2
}

// startSealed starts a host that joins another one with its key.
func startSealed(h, member *lab.Host, args ...string) *lab.Daemon {
	return h.Start(append(args, "--sealed", "--join", member.Addr.String(), "--key-file", sealedKey(member))...)
}

// sealedKey is the key file that a host has made.
func sealedKey(h *lab.Host) string { return filepath.Join(h.StateDir, "cluster-key") }

// session waits until a host has a session with another one.
func session(t *testing.T, h, other *lab.Host) lab.Node {
	t.Helper()
	var node lab.Node
	lab.Eventually(t, 10*time.Second, h.NodeName+" to have a session with "+other.NodeName, func() error {
		nodes, err := h.Nodes()
		if err != nil {
			return err
		}
		node = nodes.Find(other.NodeName)
		return lab.Expect(node.Sealed.State == "session", "it is %+v", node.Sealed)
	})
	return node
}

// The marked bytes are sent by ping, TCP and UDP, in both directions. What the
// underlay carries is captured at the switch.
func TestNoByteOfASealedNetworkIsInTheClear(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, _ := sealedTrio(t, l)
	capture := l.Switch.Capture(t, "br0", "udp or tcp or icmp")
	a, b := h1.Pod(), h2.Pod()
	a.Reachable(t, b.Addr, 5*time.Second)
	b.Reachable(t, a.Addr, 5*time.Second)
	marker := bytes.Repeat([]byte("marked bytes of a container 0123"), 40)
	exchangeMarked(t, a.Namespace, b, 7001, marker)
	exchangeMarked(t, b.Namespace, a, 7002, marker)
	lab.Eventually(t, 20*time.Second, "the capture to have the marked packets", func() error {
		n := len(capture.Bytes())
		return lab.Expect(n > 4*len(marker), "it has %d bytes", n)
	})
	lab.SendTCP(t, a.Namespace, b.Namespace, at(b.Addr, 7003), 1<<20)
	lab.Eventually(t, 20*time.Second, "the capture to have most of the stream", func() error {
		n := len(capture.Bytes())
		return lab.Expect(n > 1<<20, "it has %d bytes", n)
	})
	wire := capture.Stop()
	const period, least = 31, 8 // bytes
	for i := range period {
		if part := marker[i : i+least]; bytes.Contains(wire, part) {
			t.Fatalf("%q is on the wire", part)
		}
	}
	for _, pair := range addressPairs(a.Addr.As4(), b.Addr.As4()) {
		if bytes.Contains(wire, pair) {
			t.Errorf("the addresses % x of two containers are on the wire", pair)
		}
	}
	for _, h := range l.Hosts() {
		s := h.Status()
		if !s.Security.DataSealed || !s.Security.GossipSealed || s.Security.Sealing.Sessions != 2 || s.Device.MTU != 1440 {
			t.Errorf("%s: security %+v, MTU %d", h.NodeName, s.Security, s.Device.MTU)
		}
		for reason, n := range s.Drops {
			if strings.HasPrefix(reason, "ingress-") && n > 0 {
				t.Errorf("%s dropped %d packets: %s", h.NodeName, n, reason)
			}
		}
	}
	if node := session(t, h1, h2); node.Sealed.Suite == "" || node.Path.State == "failed" {
		t.Errorf("h1 shows %+v", node)
	}
}

// addressPairs are the two orders in which an IP header has two addresses.
func addressPairs(a, b [4]byte) [][]byte {
	return [][]byte{append(a[:], b[:]...), append(b[:], a[:]...)}
}

// exchangeMarked sends bytes from a namespace to a pod, and expects them back.
func exchangeMarked(t *testing.T, from *lab.Namespace, to *lab.Pod, port uint16, content []byte) {
	t.Helper()
	listener := to.Listen(t, at(to.Addr, port))
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buffer := make([]byte, len(content))
		if n, err := io.ReadFull(conn, buffer); err == nil {
			_, _ = conn.Write(buffer[:n])
		}
	}()
	conn, err := from.Dial(at(to.Addr, port), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write(content); err != nil {
		t.Fatal(err)
	}
	back := make([]byte, len(content))
	if _, err := io.ReadFull(conn, back); err != nil || !bytes.Equal(back, content) {
		t.Fatalf("came back: %v", err)
	}
}

func TestTokenLetsTheNextHostJoin(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	h1.Start("--sealed").WaitReady(ready)
	info, err := os.Stat(sealedKey(h1))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the key file: %v, %v", info, err)
	}
	line := h1.MustFlanneld("token")
	key := strings.TrimSpace(read(t, sealedKey(h1)))
	write, run, ok := strings.Cut(strings.TrimSpace(line), " && ")
	if !ok || !strings.Contains(write, key) || strings.Contains(run, key) {
		t.Fatalf("token prints %s", line)
	}
	if strings.Contains(h1.Daemon.Log(), key) {
		t.Error("the key is in the log")
	}
	// The next host has other directories, because both are on one machine.
	there := filepath.Join(h2.StateDir, "key")
	h2.Exec(t, "sh", "-c", strings.ReplaceAll(write, filepath.Dir(sealedKey(h1)), h2.StateDir))
	if err := os.Rename(filepath.Join(h2.StateDir, "cluster-key"), there); err != nil {
		t.Fatal(err)
	}
	args := strings.Fields(strings.ReplaceAll(run, sealedKey(h1), there))
	if args[0] != "flanneld" || args[1] != "run" {
		t.Fatalf("token prints %s", line)
	}
	h2.Start(args[2:]...).WaitReady(ready)
	l.WaitConverged(2)
	h1.Pod().Reachable(t, h2.Pod().Addr, 5*time.Second)
}

func TestSealedNetworkTakesOnlyHostsThatFit(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1 := l.Host()
	h1.Start("--sealed").WaitReady(ready)
	for name, c := range map[string]struct {
		args  []string
		words []string
	}{
		"without a key":   {[]string{"--sealed", "--join", h1.Addr.String()}, []string{"flanneld token", "--key-file"}},
		"not sealed":      {[]string{"--key-file", sealedKey(h1), "--join", h1.Addr.String()}, []string{"give --sealed", "flanneld token"}},
		"static peer":     {[]string{"--sealed", "--static-peer", "10.244.9.0/24=192.0.2.9:8285"}, []string{"--static-peer", "--sealed", "flannel cannot open"}},
		"kernel backends": {[]string{"--sealed", "--backend", "auto"}, []string{"--backend", "in the clear"}},
	} {
		h := l.Host()
		status := 1
		if name == "static peer" || name == "kernel backends" {
			status = 2
		}
		t.Log(name)
		refused(t, h, status, c.args, c.words...)
	}
	other, joiner := l.Host(), l.Host()
	before := len(h1.Daemon.Log())
	joiner.Start("--sealed", "--join", h1.Addr.String(), "--key-file", newKey(t, other, "key")).WaitLog("key", ready)
	lab.Eventually(t, ready, "host1 to say why it refuses a host with another key", func() error {
		said := h1.Daemon.Log()[before:]
		return lab.Expect(strings.Contains(said, "another cluster key") && strings.Contains(said, joiner.Addr.String()), "it says: %s", said)
	})
}

func TestSealedTrafficOutlivesRestartsAndKills(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, _ := sealedTrio(t, l)
	a, b := h1.Pod(), h2.Pod()
	a.Reachable(t, b.Addr, 5*time.Second)
	pings := a.StartPinging(t, b.Addr, 50*time.Millisecond)
	capture := l.Switch.Capture(t, "br0", "udp port 8285")
	h2.Daemon.Stop()
	startSealed(h2, h1).WaitReady(ready)
	answered := func(what string) {
		t.Helper()
		a.Reachable(t, b.Addr, 5*time.Second)
		t.Logf("after %s: %v", what, pings.Count())
	}
	answered("a restart")
	h2.Daemon.Kill()
	startSealed(h2, h1).WaitReady(ready)
	answered("a kill")
	h1.Daemon.Kill()
	h1.Start("--sealed").WaitReady(ready)
	answered("a kill of the other end")
	// Suspended for longer than gossip takes to call it dead.
	h2.Daemon.Signal(unix.SIGSTOP)
	time.Sleep(3 * time.Second)
	h2.Daemon.Signal(unix.SIGCONT)
	answered("a pause")
	pings.Stop()
	onlySealed(t, capture.Stop(), h1, h2)
}

// onlySealed fails the test if a datagram of the data port is not a sealed one.
func onlySealed(t *testing.T, capture []byte, hosts ...*lab.Host) {
	t.Helper()
	const fileHeader, recordHeader, headers = 24, 16, 14 + 20 + 8
	count := 0
	for rest := capture[min(fileHeader, len(capture)):]; len(rest) > recordHeader; {
		n := recordHeader + int(binary.LittleEndian.Uint32(rest[8:]))
		if n > len(rest) {
			break
		}
		frame := rest[recordHeader:n]
		rest = rest[n:]
		if len(frame) <= headers {
			continue
		}
		if kind := frame[headers]; kind < 0x81 || kind > 0x84 {
			t.Fatalf("a datagram of the data port begins with % x", frame[headers:min(len(frame), headers+8)])
		}
		count++
	}
	if count < 20 {
		t.Errorf("only %d datagrams of %d hosts were captured", count, len(hosts))
	}
}

func TestSessionsOfAForgottenNodeEnd(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, h3 := sealedTrio(t, l)
	session(t, h1, h2)
	session(t, h3, h2)
	h2.Daemon.Kill()
	h1.WaitState(h2.NodeName, "dead", 30*time.Second)
	h3.WaitState(h2.NodeName, "dead", 30*time.Second)
	h1.MustFlanneld("forget", h2.NodeName)
	for _, h := range []*lab.Host{h1, h3} {
		lab.Eventually(t, 5*time.Second, "the session of "+h.NodeName+" with a forgotten node to end", func() error {
			n := h.Status().Security.Sealing.Sessions
			return lab.Expect(n == 1, "%d sessions", n)
		})
	}
}

func TestClusterKeyOfASealedNetworkChangesWithoutAGap(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, h3 := sealedTrio(t, l)
	a, b := h1.Pod(), h2.Pod()
	a.Reachable(t, b.Addr, 5*time.Second)
	pings := a.StartPinging(t, b.Addr, 20*time.Millisecond)
	key := sealedKey(h1)
	if err := os.WriteFile(key, []byte(h1.MustFlanneld("keygen")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, h := range []*lab.Host{h1, h2, h3} {
		before := len(h.Daemon.Log())
		h.Daemon.Signal(unix.SIGHUP)
		lab.Eventually(t, ready, h.NodeName+" to say that it has read the key", func() error {
			return lab.Expect(strings.Contains(h.Daemon.Log()[before:], "cluster key read again"), "nothing said")
		})
	}
	h4 := l.Host()
	startSealed(h4, h1).WaitReady(ready)
	h4.Pod().Reachable(t, b.Addr, 5*time.Second)
	time.Sleep(time.Second)
	if got := pings.Stop(); got.Sent < 50 || got.Lost > 0 {
		t.Error(fmt.Sprint(got))
	}
	h2.Daemon.Kill()
	startSealed(h2, h1).WaitReady(ready)
	a.Reachable(t, b.Addr, 5*time.Second)
}

// What a plain network has left in the kernel would carry packets in the clear.
// TestSealedStartRemovesTheShortcut, before it meets others: the programs would
// send and take packets in the clear.
func TestSealedStartRemovesTheShortcut(t *testing.T) {
	t.Parallel()
	_, h1, h2 := duo(t, "--shortcut", "auto")
	lab.WaitShortcuts(proven, h1, h2)
	h1.Daemon.Stop()
	if links := h1.Exec(t, "ip", "link", "show"); !strings.Contains(links, "flannel0gro") {
		t.Fatalf("nothing was left: %s", links)
	}
	h1.Start("--sealed", "--state-dir", filepath.Join(h1.StateDir, "sealed"), "--join", h2.Addr.String(), "--key-file", newKey(t, h1, "key"))
	lab.Eventually(t, 2*time.Second, "the short-cut to go", func() error {
		links := h1.Exec(t, "ip", "link", "show")
		return lab.Expect(!strings.Contains(links, "flannel0gro"), "%s", links)
	})
}

func TestSealedStartRemovesPlainKernelPaths(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	h1.Start("--backend", "vxlan").WaitReady(ready)
	h2.Start("--backend", "vxlan", "--join", h1.Addr.String()).WaitReady(ready)
	lab.WaitKernelPaths([]*lab.Host{h1, h2}, ready)
	h1.Daemon.Stop()
	h2.Daemon.Stop()
	if links := h1.Exec(t, "ip", "link", "show"); !strings.Contains(links, "flannel.1") {
		t.Fatalf("nothing was left: %s", links)
	}
	h1.Start("--sealed", "--state-dir", filepath.Join(h1.StateDir, "sealed")).WaitReady(ready)
	if links := h1.Exec(t, "ip", "link", "show"); strings.Contains(links, "flannel.1") {
		t.Errorf("the VXLAN device is still there: %s", links)
	}
	if routes := h1.Exec(t, "ip", "route"); strings.Contains(routes, "flannel.1") {
		t.Errorf("routes of VXLAN are still there: %s", routes)
	}
}
