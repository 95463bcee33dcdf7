// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flanneld/test/lab"
)

// callers open connections all the time, from one namespace to a listener in
// another, and count from which addresses they arrive.
type callers struct {
	stop func() // ends them; may be called again

	mu      sync.Mutex
	sources map[netip.Addr]int
	failed  atomic.Int64 // connections that could not be opened
}

// call starts callers. Each connection is closed as soon as it was accepted,
// by a reset, so that ports are free again.
func call(t *testing.T, from, to *lab.Namespace, at netip.AddrPort, n int) *callers {
	t.Helper()
	c := &callers{sources: map[netip.Addr]int{}}
	listener := to.Listen(t, at)
	ended := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			c.mu.Lock()
			c.sources[conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()]++
			c.mu.Unlock()
			conn.Close()
		}
	})
	var dialing sync.WaitGroup
	for range n {
		dialing.Go(func() {
			for {
				select {
				case <-ended:
					return
				case <-time.After(time.Millisecond):
				}
				conn, err := from.Dial(at, time.Second)
				if err != nil {
					c.failed.Add(1)
					continue
				}
				conn.(*net.TCPConn).SetLinger(0)
				conn.Close()
			}
		})
	}
	c.stop = sync.OnceFunc(func() {
		close(ended)
		dialing.Wait()
		listener.Close()
		all.Wait()
	})
	t.Cleanup(c.stop)
	return c
}

// seen returns how many connections arrived from an address, and how many from
// others.
func (c *callers) seen(own netip.Addr) (kept, others int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for source, n := range c.sources {
		if source == own {
			kept += n
		} else {
			others += n
		}
	}
	return kept, others
}

// TestSourcesAreKeptWhileDockerStarts: Docker masquerades what leaves its
// bridge. Connections that begin while it makes its rules keep their source as
// well.
func TestSourcesAreKeptWhileDockerStarts(t *testing.T) {
	t.Parallel()
	for _, release := range dockers(t) {
		t.Run(release.Name, func(t *testing.T) {
			t.Parallel()
			_, h1, h2 := duo(t)
			p1, p2 := h1.Pod(), h2.Pod()
			p1.Reachable(t, p2.Addr, 5*time.Second)
			c := call(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7000), 4)
			d := h1.StartDocker(release)
			d.Stop()
			d.Start()
			c.stop()
			kept, others := c.seen(p1.Addr)
			t.Logf("%d connections arrived, %d with another source, %d failed", kept+others, others, c.failed.Load())
			if others > 0 || kept < 100 {
				t.Errorf("%d of %d connections arrived with another source than %v: %v\n%s", others, kept+others, p1.Addr, c.sources, firewall(t, h1))
			}
			if rules := h1.Exec(t, "iptables", "-w", "-t", "nat", "-S"); !strings.Contains(rules, "MASQUERADE") {
				t.Errorf("Docker does not masquerade: this test shows nothing\n%s", rules)
			}
		})
	}
}

// TestEarlierVersionsRulesAreReplaced: flanneld 0.1 kept sources by a chain in
// iptables' nat. A daemon that takes over has its own table, and removes it.
func TestEarlierVersionsRulesAreReplaced(t *testing.T) {
	t.Parallel()
	l, h := founder(t, "--ip-masq")
	lease := h.Lease().String()
	h.Daemon.Stop()
	h.Exec(t, "nft", "delete", "table", "ip", "flanneld-identity-flannel0")
	for _, rule := range []string{
		"-N FLANNELD-flannel0",
		"-A FLANNELD-flannel0 -s " + lease + " -d 10.244.0.0/16 -o flannel0 -j ACCEPT",
		"-A FLANNELD-flannel0 -s " + lease + " ! -d 10.244.0.0/16 -j MASQUERADE --random-fully",
		"-I POSTROUTING 1 -j FLANNELD-flannel0",
	} {
		h.Exec(t, "iptables", append([]string{"-w", "-t", "nat"}, strings.Fields(rule)...)...)
	}
	h.Start("--ip-masq").WaitReady(ready)
	lab.Eventually(t, 5*time.Second, "the chain to go", func() error {
		rules := h.Exec(t, "iptables", "-w", "-t", "nat", "-S")
		return lab.Expect(!strings.Contains(rules, "FLANNELD"), "%s", rules)
	})
	if got := lab.SendTCP(t, h.Pod().Namespace, l.Outside, at(lab.OutsideAddress, 80), 1000); got.Source != h.Addr {
		t.Errorf("the outside saw %v", got.Source)
	}
}
