// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package daemon

import (
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"flanneld/internal/control"
	"flanneld/internal/host/link/linktest"
)

// thousand are static peers by vxlan, as many as fit into one flag.
func thousand() []string {
	var all []string
	for i := range 1000 {
		a, b := i/250, i%250
		all = append(all, fmt.Sprintf("10.%d.%d.0/24=vxlan:192.168.%d.%d/02:00:00:01:%02x:%02x", 248+a, b, 8+a, b+1, a, b))
	}
	return []string{strings.Join(all, ",")}
}

// pathsOnHost counts what the kernel has for peers by vxlan: routes,
// neighbors, FDB entries, and members that may send.
func pathsOnHost() string {
	count := func(line, what string) int {
		text, _ := linktest.Try(line)
		return strings.Count(text, what)
	}
	return fmt.Sprintf("%d routes, %d neighbors, %d FDB entries, %d senders, %d members",
		count("ip route show proto 85", "onlink"), count("ip neigh show dev flannel.1", "PERMANENT"),
		count("bridge fdb show dev flannel.1", "permanent"),
		count("nft list set ip flanneld-paths-flannel0 vxlan-24", "counter packets"),
		count("nft list set ip flanneld-paths-flannel0 vxlan-members", " . 8472"))
}

// From the start of the daemon to the last route of a thousand peers it takes
// two seconds. The tests of other packages take processor time meanwhile.
func TestAThousandPeersAreReachedSoonAfterTheStart(t *testing.T) {
	linktest.Underlay(t)
	removed(t)
	flags := map[string][]string{"static-peer": thousand(), "network": {"10.240.0.0/12"}, "backend": {"vxlan"}}
	dir := shortDir(t)
	const want = "1000 routes, 1000 neighbors, 1000 FDB entries, 1000 senders, 1000 members"
	for _, when := range []string{"the first start", "the second start"} {
		began := time.Now()
		d := start(t, dir, flags)
		d.wait(t, when, ready)
		isReady := time.Since(began)
		var got string
		for got = pathsOnHost(); got != want && time.Since(began) < 30*time.Second; got = pathsOnHost() {
			time.Sleep(20 * time.Millisecond)
		}
		took := time.Since(began)
		t.Logf("%s: ready after %v, all peers after %v", when, isReady, took)
		const limit = 2 * time.Second
		if got != want || took > 3*limit {
			t.Fatalf("%s: %s\n%s", when, got, d.log)
		}
		d.stop(t)
		linktest.Run(t, "ip link delete flannel.1") // all is made again
	}
}

// removed takes away what a daemon leaves for the next start.
func removed(t *testing.T) {
	t.Cleanup(func() {
		linktest.Try("ip link delete flannel.1")
		linktest.Try("nft delete table ip flanneld-paths-flannel0")
	})
}

// hold has another program own a table, so that no other can change it. It
// returns what gives it up. A table of that name is replaced in one
// transaction: the daemon has no time to put its own back in between.
func hold(t *testing.T, table string) (release func()) {
	t.Helper()
	owner := exec.Command("nft", "-i")
	in, err := owner.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	replace := fmt.Sprintf("add table %s; delete table %[1]s; add table %[1]s { flags owner; }\n", table)
	if _, err := io.WriteString(in, replace); err != nil {
		t.Fatal(err)
	}
	var text string
	for range 250 {
		if text, _ = linktest.Try("nft list table " + table); strings.Contains(text, "flags owner") {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if !strings.Contains(text, "flags owner") {
		t.Fatalf("the other program does not own the table: %s", text)
	}
	var released bool
	release = func() {
		if !released {
			released = true
			in.Close()
			owner.Wait()
		}
	}
	t.Cleanup(release)
	return release
}

// Without the table that checks packets, a tunnel device would let in whatever
// comes: so there is none, and status says why.
func TestWithoutChecksThereIsNoKernelPath(t *testing.T) {
	linktest.Underlay(t)
	removed(t)
	release := hold(t, "ip flanneld-paths-flannel0")
	d := start(t, shortDir(t), map[string][]string{"backend": {"auto"}, "shortcut": {"off"}})
	unavailable := func(s control.Status) (all []string) {
		for _, p := range s.Backend.Paths {
			if p.Unavailable != "" {
				all = append(all, p.Path+": "+p.Unavailable)
			}
		}
		return all
	}
	s := d.wait(t, "paths that are not available", func(s control.Status) bool { return ready(s) && len(unavailable(s)) == 2 })
	t.Logf("%q, %+v", unavailable(s), s.Problems)
	if text, err := linktest.Try("ip link show flannel.1"); err == nil {
		t.Errorf("a device that nothing checks: %s", text)
	}
	nodes, err := d.Nodes(t.Context())
	if err != nil || strings.Join(nodes.Nodes[0].Capabilities, " ") != "udp/1" {
		t.Errorf("announced: %+v, %v", nodes.Nodes, err)
	}
	release()
	d.wait(t, "paths that are available", func(s control.Status) bool { return len(unavailable(s)) == 0 })
	linktest.Run(t, "ip link show flannel.1")
	if nodes, err := d.Nodes(t.Context()); err != nil || len(nodes.Nodes[0].Capabilities) != 3 {
		t.Errorf("announced: %+v, %v", nodes.Nodes, err)
	}

	// The table is taken away while the paths are in use.
	hold(t, "ip flanneld-paths-flannel0")
	d.wait(t, "paths that are not available any more", func(s control.Status) bool { return len(unavailable(s)) == 2 })
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err := linktest.Try("ip link show flannel.1"); err != nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("a device that nothing checks is still there\n%s", d.log)
		}
	}
	d.stop(t)
}
