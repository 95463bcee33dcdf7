// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// A sender is a program that may or may not reach the members' ports.
type sender struct {
	name    string
	in      *lab.Namespace
	uid     int
	allowed bool
}

// otherBridge makes a second network of containers behind masquerading, as
// `docker network create` does, and returns one of its containers.
func otherBridge(t *testing.T, h *lab.Host) *lab.Namespace {
	t.Helper()
	h.Exec(t, "ip", "link", "add", "br-other", "type", "bridge", "forward_delay", "0")
	h.Exec(t, "ip", "address", "add", "172.30.0.1/24", "dev", "br-other")
	h.Exec(t, "ip", "link", "set", "br-other", "up")
	pod := lab.NewNamespace(t, h.Namespace.Name+"-other")
	h.Exec(t, "ip", "link", "add", "other0", "type", "veth", "peer", "name", "eth0", "netns", pod.Name)
	h.Exec(t, "ip", "link", "set", "other0", "master", "br-other", "up")
	attach(t, pod, "172.30.0.2/24", "172.30.0.1")
	h.Exec(t, "iptables", "-w", "-t", "nat", "-A", "POSTROUTING", "-s", "172.30.0.0/24", "!", "-o", "br-other", "-j", "MASQUERADE")
	pod.Reachable(t, netip.MustParseAddr("172.30.0.1"), 10*time.Second)
	return pod
}

// routedVeth makes a container that is reached by a route, without a bridge.
func routedVeth(t *testing.T, h *lab.Host) *lab.Namespace {
	t.Helper()
	pod := lab.NewNamespace(t, h.Namespace.Name+"-routed")
	h.Exec(t, "ip", "link", "add", "cali0", "type", "veth", "peer", "name", "eth0", "netns", pod.Name)
	h.Exec(t, "ip", "address", "add", "172.31.0.1/32", "dev", "cali0")
	h.Exec(t, "ip", "link", "set", "cali0", "up")
	h.Exec(t, "ip", "route", "add", "172.31.0.2", "dev", "cali0")
	pod.Exec(t, "ip", "link", "set", "eth0", "up")
	pod.Exec(t, "ip", "address", "add", "172.31.0.2/32", "dev", "eth0")
	pod.Exec(t, "ip", "route", "add", "172.31.0.1", "dev", "eth0")
	pod.Exec(t, "ip", "route", "add", "default", "via", "172.31.0.1")
	h.Exec(t, "iptables", "-w", "-t", "nat", "-A", "POSTROUTING", "-s", "172.31.0.0/24", "!", "-o", "cali0", "-j", "MASQUERADE")
	pod.Reachable(t, netip.MustParseAddr("172.31.0.1"), 10*time.Second)
	return pod
}

func attach(t *testing.T, pod *lab.Namespace, address, gateway string) {
	t.Helper()
	pod.Exec(t, "ip", "link", "set", "eth0", "up")
	pod.Exec(t, "ip", "address", "add", address, "dev", "eth0")
	pod.Exec(t, "ip", "route", "add", "default", "via", gateway)
}

// sendAs sends a datagram from a user's process, from a source address if one
// is given, by the shell's /dev/udp or by a raw socket.
func sendAs(t *testing.T, s sender, to netip.AddrPort, payload []byte) {
	t.Helper()
	// bash sends each write to /dev/udp as one datagram.
	script := fmt.Sprintf("cat >/dev/udp/%s/%d", to.Addr(), to.Port())
	cmd := exec.Command("bash", "-c", script)
	if s.uid != 0 {
		cmd = exec.Command("setpriv", fmt.Sprintf("--reuid=%d", s.uid), fmt.Sprintf("--regid=%d", s.uid), "--clear-groups", "bash", "-c", script)
	}
	cmd.Stdin = bytes.NewReader(payload)
	_ = s.in.RunCommand(t, cmd) // dropped on the way out is an error in some kernels
}

// TestOnlyTheDaemonReachesTheDataPorts: if any other program sends a datagram
// to a member's data port, the packet inside does not come out there.
func TestOnlyTheDaemonReachesTheDataPorts(t *testing.T) {
	t.Parallel()
	_, h1, h2 := duo(t)
	protects(t, h1, h2)
	p1, p2 := h1.Pod(), h2.Pod()
	h1.Exec(t, "iptables", "-w", "-t", "nat", "-A", "POSTROUTING", "-s", h1.Lease().String(), "!", "-o", "docker0", "-j", "MASQUERADE")
	senders := []sender{
		{"container on docker0", p1.Namespace, 0, false},
		{"container on another bridge", otherBridge(t, h1), 0, false},
		{"container on a routed veth", routedVeth(t, h1), 0, false},
		{"unprivileged user", h1.Namespace, 65534, false},
		{"root with the host's network", h1.Namespace, 0, true},
	}
	for _, s := range senders {
		sink := listenUDP(t, p2.Namespace, at(p2.Addr, 4242))
		inner := lab.UDPPacket(at(p1.Addr, 1), at(p2.Addr, 4242), []byte(s.name))
		for range 3 {
			sendAs(t, s, at(h2.Addr, 8285), inner)
		}
		if got := received(t, sink, time.Second); got != s.allowed {
			t.Errorf("%s: to another host: came through %t, want %t\n%s", s.name, got, s.allowed, portTable(t, h1))
		}
		own := listenUDP(t, p1.Namespace, at(p1.Addr, 4242))
		inner = lab.UDPPacket(at(p2.Addr, 1), at(p1.Addr, 4242), []byte(s.name))
		for range 3 {
			sendAs(t, s, at(h1.Addr, 8285), inner)
		}
		// The daemon never takes its own host's address for another member's.
		if received(t, own, 300*time.Millisecond) {
			t.Errorf("%s: to its own host: came through\n%s", s.name, portTable(t, h1))
		}
	}
	p1.Reachable(t, p2.Addr, 5*time.Second)
	lab.SendTCP(t, p1.Namespace, p2.Namespace, at(p2.Addr, 80), 1<<20)
}

// TestOnlyTheDaemonReachesTheGossipPorts: no container and no unprivileged user
// connects to the gossip of any host, or sends a datagram there.
func TestOnlyTheDaemonReachesTheGossipPorts(t *testing.T) {
	t.Parallel()
	l, h1, h2 := duo(t)
	protects(t, h1, h2)
	p1 := h1.Pod()
	h1.Exec(t, "iptables", "-w", "-t", "nat", "-A", "POSTROUTING", "-s", h1.Lease().String(), "!", "-o", "docker0", "-j", "MASQUERADE")
	senders := []sender{
		{"container on docker0", p1.Namespace, 0, false},
		{"container on another bridge", otherBridge(t, h1), 0, false},
		{"container on a routed veth", routedVeth(t, h1), 0, false},
		{"unprivileged user", h1.Namespace, 65534, false},
		{"root with the host's network", h1.Namespace, 0, true},
		{"a host of the underlay that is no member", l.Outside, 0, true},
	}
	for _, s := range senders {
		for _, h := range []*lab.Host{h1, h2} {
			if got := connects(t, s, at(h.Addr, 8286)); got != s.allowed {
				t.Errorf("%s: connects to the gossip port of %s: %t, want %t\n%s", s.name, h.NodeName, got, s.allowed, portTable(t, h1))
			}
			before := drops(t, h1)
			sendAs(t, s, at(h.Addr, 8286), []byte("hello"))
			if stopped := drops(t, h1) > before; stopped == s.allowed {
				t.Errorf("%s: datagram to the gossip port of %s: stopped %t\n%s", s.name, h.NodeName, stopped, portTable(t, h1))
			}
		}
	}
}

// A container that forges the source of a member does not get past its host.
func TestForgedMemberFromAContainerIsStopped(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, h3 := l.Trio()
	protects(t, h1, h2)
	protects(t, h1, h3)
	p1, p3 := h1.Pod(), h3.Pod()
	h1.Sysctl(t, "net.ipv4.conf.all.rp_filter", "0")
	h1.Sysctl(t, "net.ipv4.conf.docker0.rp_filter", "0")
	p1.Exec(t, "ip", "address", "add", h3.Addr.String()+"/32", "dev", "lo")
	for _, to := range []*lab.Host{h1, h2} {
		pod := p1
		if to == h2 {
			pod = h2.Pod()
		}
		sink := listenUDP(t, pod.Namespace, at(pod.Addr, 4242))
		inner := lab.UDPPacket(at(p3.Addr, 1), at(pod.Addr, 4242), []byte("forged"))
		if err := p1.Do(func() error {
			c, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(at(h3.Addr, 0)), net.UDPAddrFromAddrPort(at(to.Addr, 8285)))
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Write(inner)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if received(t, sink, 300*time.Millisecond) {
			t.Errorf("a forged datagram reached %s\n%s", to.NodeName, portTable(t, h1))
		}
	}
}

// Changes that another program makes to the table are undone within a second or
// two. A start, a stop and a leave find and leave the table in its proper
// state.
func TestTableInFrontOfThePortsIsKept(t *testing.T) {
	t.Parallel()
	_, h1, h2 := duo(t)
	const list = "nft list table ip flanneld-flannel0"
	var want string
	lab.Eventually(t, 5*time.Second, "the table to have both hosts", func() error {
		want = withoutCounters(portTable(t, h1))
		return lab.Expect(strings.Contains(want, h2.Addr.String()+" . 8285") && strings.Contains(want, h1.Addr.String()+" . tcp . 8286"), "%s", want)
	})
	for _, damage := range []string{
		"nft flush ruleset", "nft delete table ip flanneld-flannel0", "nft flush chain ip flanneld-flannel0 output",
		"nft flush set ip flanneld-flannel0 data", "nft insert rule ip flanneld-flannel0 output accept",
	} {
		h1.Exec(t, "sh", "-c", damage)
		start := time.Now()
		lab.Eventually(t, 10*time.Second, "the table to be back after "+damage, func() error {
			now := withoutCounters(h1.Run(t, "sh", "-c", list).Stdout)
			return lab.Expect(now == want, "%s", now)
		})
		t.Logf("%s: back after %v", damage, time.Since(start).Round(10*time.Millisecond))
	}
	mentions(t, "the table", want, `"bridge"`, `"veth"`)
	h1.Daemon.Stop()
	if now := withoutCounters(portTable(t, h1)); now != want {
		t.Errorf("a stop changed the table:\n%s", now)
	}
	h1.Start().WaitReady(ready)
	h1.MustFlanneld("leave")
	if left := h1.Exec(t, "nft", "list", "ruleset"); strings.Contains(left, "flanneld") {
		t.Errorf("leave left the table:\n%s", left)
	}
	h2.Daemon.Kill()
	h2.MustFlanneld("cleanup")
	if left := h2.Exec(t, "nft", "list", "ruleset"); strings.Contains(left, "flanneld") {
		t.Errorf("cleanup left the table:\n%s", left)
	}
}

// The table needs neither nft nor iptables, only the kernel.
func TestTableNeedsNoCommand(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h := l.Host()
	empty := filepath.Join(l.Dir(), "empty")
	h.Exec(t, "mkdir", empty)
	cmd := through(t, h, `PATH=`+empty+` exec "$@"`)
	h.StartCommand(cmd).WaitReady(ready)
	mentions(t, "the table", portTable(t, h), h.Addr.String()+" . 8285")
	if s := sendFails(t, sender{"unprivileged user", h.Namespace, 65534, false}, at(h.Addr, 8286)); !s {
		t.Error("an unprivileged user reaches the gossip port")
	}
}

func sendFails(t *testing.T, s sender, to netip.AddrPort) bool { return !connects(t, s, to) }

// protects waits until a host's table has another's ports.
func protects(t *testing.T, h, other *lab.Host) {
	t.Helper()
	lab.Eventually(t, 5*time.Second, "the table to have "+other.NodeName, func() error {
		table := portTable(t, h)
		return lab.Expect(strings.Contains(table, other.Addr.String()+" . 8285"), "%s", table)
	})
}

// connects reports whether a program can open a TCP connection.
func connects(t *testing.T, s sender, to netip.AddrPort) bool {
	t.Helper()
	script := fmt.Sprintf("exec 3<>/dev/tcp/%s/%d", to.Addr(), to.Port())
	args := []string{"1", "bash", "-c", script}
	if s.uid != 0 {
		args = append([]string{"1", "setpriv", fmt.Sprintf("--reuid=%d", s.uid), fmt.Sprintf("--regid=%d", s.uid), "--clear-groups"}, args[1:]...)
	}
	return s.in.RunCommand(t, exec.Command("timeout", args...)).Status == 0
}

func listenUDP(t *testing.T, ns *lab.Namespace, a netip.AddrPort) *net.UDPConn {
	t.Helper()
	conn := ns.ListenUDP(t, a)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// received reports whether a datagram comes within the time, and closes the
// socket.
func received(t *testing.T, conn *net.UDPConn, within time.Duration) bool {
	t.Helper()
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(within))
	_, _, err := conn.ReadFromUDPAddrPort(make([]byte, 2000))
	return err == nil
}

func portTable(t *testing.T, h *lab.Host) string {
	t.Helper()
	return h.Exec(t, "nft", "list", "table", "ip", "flanneld-flannel0")
}

// drops sums the counters of the table.
func drops(t *testing.T, h *lab.Host) (sum int) {
	t.Helper()
	words := strings.Fields(portTable(t, h))
	for i, w := range words[:len(words)-1] {
		if w == "packets" {
			var n int
			fmt.Sscan(words[i+1], &n)
			sum += n
		}
	}
	return sum
}

// withoutCounters is a table's text without the parts that change by
// themselves.
func withoutCounters(text string) string {
	words := strings.Fields(text)
	for i, w := range words[:max(len(words)-1, 0)] {
		if w == "packets" || w == "bytes" {
			words[i+1] = "-"
		}
	}
	return strings.Join(words, " ")
}

// Containers do not reach a member's VXLAN port either, also where what they
// send leaves with the address of their host.
func TestContainersReachNoVXLANPort(t *testing.T) {
	t.Parallel()
	_, p1, p2 := joined(t, "vxlan,udp")
	h1, h2 := p1.Host, p2.Host
	h1.Exec(t, "iptables", "-w", "-t", "nat", "-A", "POSTROUTING", "-s", h1.Lease().String(), "!", "-o", "docker0", "-j", "MASQUERADE")
	frame := func(from, to *lab.Host, inner []byte) []byte {
		t.Helper()
		b := []byte{0x08, 0, 0, 0, 0, 0, 1, 0} // VXLAN, VNI 1
		for _, h := range []*lab.Host{to, from} {
			mac, err := net.ParseMAC(macOf(t, h, "flannel.1"))
			if err != nil {
				t.Fatal(err)
			}
			b = append(b, mac...)
		}
		return append(append(b, 0x08, 0), inner...)
	}
	for _, s := range []sender{
		{"container on docker0", p1.Namespace, 0, false},
		{"container on another bridge", otherBridge(t, h1), 0, false},
		{"container on a routed veth", routedVeth(t, h1), 0, false},
		{"root with the host's network", h1.Namespace, 0, true},
	} {
		sink := listenUDP(t, p2.Namespace, at(p2.Addr, 4242))
		inner := lab.UDPPacket(at(p1.Addr, 1), at(p2.Addr, 4242), []byte(s.name))
		for range 3 {
			sendAs(t, s, at(h2.Addr, 8472), frame(h1, h2, inner))
		}
		if got := received(t, sink, time.Second); got != s.allowed {
			t.Errorf("%s: to another host: came through %t, want %t", s.name, got, s.allowed)
		}
		own := listenUDP(t, p1.Namespace, at(p1.Addr, 4242))
		inner = lab.UDPPacket(at(p2.Addr, 1), at(p1.Addr, 4242), []byte(s.name))
		for range 3 {
			sendAs(t, s, at(h1.Addr, 8472), frame(h2, h1, inner))
		}
		if received(t, own, 300*time.Millisecond) {
			t.Errorf("%s: to its own host: came through", s.name)
		}
	}
	p1.Reachable(t, p2.Addr, 5*time.Second)
	kernelCarries(t, "vxlan", h1, h2)
}
