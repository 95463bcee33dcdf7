// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package attack

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"flanneld/test/lab"
)

// position is a place from which an attacker sends.
type position struct {
	name string
	ns   *lab.Namespace
	user uint32 // of the sending process
	// mayGossip and mayInject say what is left to this position, as
	// docs/security.md has it.
	mayGossip, mayInject bool
}

// TestWhoReachesThePorts sends to the data and gossip ports of a member from
// every position: containers, local users, root, and a host of the underlay.
func TestWhoReachesThePorts(t *testing.T) {
	t.Parallel()
	f := newField(t)
	h1, h2 := f.hosts[0], f.hosts[1]
	victim := h2.Pod()
	own := h1.Pod()
	bridged := anotherBridge(t, h1)
	masquerade(t, h1)
	outsider := f.lab.Hosts()[3].Namespace
	lab.Eventually(t, 5*time.Second, "the table in front of the ports to have all members", func() error {
		table := h1.Exec(t, "nft", "list", "ruleset")
		for _, h := range f.hosts {
			if !strings.Contains(table, fmt.Sprintf("%s . %d", h.Addr, dataPort)) {
				return fmt.Errorf("no %s in %s", h.NodeName, table)
			}
		}
		return nil
	})
	for _, p := range []position{
		{name: "container on docker0", ns: own.Namespace},
		{name: "container on another bridge", ns: bridged},
		{name: "unprivileged user on a member host", ns: h1.Namespace, user: 65534},
		{name: "root on a member host", ns: h1.Namespace, mayGossip: true, mayInject: true},
		{name: "stranger on the underlay", ns: outsider, mayGossip: true},
	} {
		t.Run(p.name, func(t *testing.T) {
			for _, target := range []*lab.Host{h1, h2} {
				if got := p.reachesGossip(t, target.Addr); got != p.mayGossip {
					t.Errorf("reaches the gossip port of %s: %t, want %t", target.NodeName, got, p.mayGossip)
				}
			}
			// The inner source is of the lease of the host that the datagram
			// leaves.
			if got := p.injects(t, own.Addr.Next(), victim, h2.Addr); got != p.mayInject {
				t.Errorf("injects a packet into a container of %s: %t, want %t", h2.NodeName, got, p.mayInject)
			}
			// To its own host: with an inner source of another host's lease.
			if p.injects(t, victim.Addr.Next(), own, h1.Addr) {
				t.Errorf("injects a packet into a container of %s", h1.NodeName)
			}
		})
	}
}

// anotherBridge adds a bridge that flanneld did not make to a host, with a
// container on it.
func anotherBridge(t *testing.T, h *lab.Host) *lab.Namespace {
	t.Helper()
	ns := lab.NewNamespace(t, h.Name+"-bridged")
	for _, args := range [][]string{
		{"link", "add", "br-app", "type", "bridge", "forward_delay", "0"},
		{"address", "add", "172.30.0.1/24", "dev", "br-app"},
		{"link", "set", "br-app", "up"},
		{"link", "add", "app1", "type", "veth", "peer", "name", "eth0", "netns", ns.Name},
		{"link", "set", "app1", "master", "br-app", "up"},
	} {
		h.Exec(t, "ip", args...)
	}
	ns.Exec(t, "ip", "link", "set", "eth0", "up")
	ns.Exec(t, "ip", "address", "add", "172.30.0.2/24", "dev", "eth0")
	ns.Exec(t, "ip", "route", "add", "default", "via", "172.30.0.1")
	ns.Reachable(t, netip.MustParseAddr("172.30.0.1"), 10*time.Second)
	return ns
}

// masquerade hides containers behind their host, as Docker does.
func masquerade(t *testing.T, h *lab.Host) {
	t.Helper()
	for device, subnet := range map[string]string{"docker0": h.Lease().String(), "br-app": "172.30.0.0/24"} {
		h.Exec(t, "iptables", "-w", "-t", "nat", "-A", "POSTROUTING", "-s", subnet, "!", "-o", device, "-j", "MASQUERADE")
	}
}

// knock sends from the position, as its user; see TestMain.
func (p position) knock(t *testing.T, what string) lab.Result {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), knockVariable+"="+what)
	if p.user != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: p.user, Gid: p.user}}
	}
	return p.ns.RunCommand(t, cmd)
}

// reachesGossip reports whether a stream to the gossip port is taken.
func (p position) reachesGossip(t *testing.T, to netip.Addr) bool {
	t.Helper()
	return p.knock(t, fmt.Sprintf("tcp %s:%d", to, gossipPort)).Status == 0
}

// injects reports whether a datagram with an inner packet, sent to a host's
// data port, puts that packet into a container of the host.
func (p position) injects(t *testing.T, from netip.Addr, to *lab.Pod, host netip.Addr) bool {
	t.Helper()
	sink := to.ListenUDP(t, netip.AddrPortFrom(to.Addr, 7000))
	defer sink.Close()
	packet := lab.UDPPacket(netip.AddrPortFrom(from, 1234), netip.AddrPortFrom(to.Addr, 7000), []byte("injected"))
	_ = p.knock(t, fmt.Sprintf("udp %s:%d %x", host, dataPort, packet)) // it may be refused
	_ = sink.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	_, _, err := sink.ReadFromUDPAddrPort(make([]byte, 2000))
	return err == nil
}
