// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// traced is what `flanneld trace -o json` prints.
type traced struct {
	Arrived  bool   `json:"arrived"`
	LastSeen string `json:"last_seen"`
	Verdict  string `json:"verdict"`
	Advice   string `json:"advice"`
	From     string `json:"from"`
	Path     string `json:"path"`
	Stations []struct {
		Name   string `json:"name"`
		Proven bool   `json:"proven"`
	} `json:"stations"`
}

// traces runs a trace, which must end at a station with a verdict that has the
// words.
func traces(t *testing.T, h *lab.Host, to netip.Addr, last string, words ...string) (got traced) {
	t.Helper()
	r := h.Flanneld("trace", to.String(), "-o", "json")
	if err := json.Unmarshal([]byte(r.Stdout), &got); err != nil {
		t.Fatalf("trace %v: %v in %s%s", to, err, r.Stdout, r.Stderr)
	}
	if got.LastSeen != last || got.Arrived != (r.Status == 0) || got.Arrived && last != "container" || (got.Advice == "") != got.Arrived {
		t.Errorf("trace %v: exit status %d, %+v", to, r.Status, got)
	}
	for _, s := range got.Stations {
		if s.Name == last && !s.Proven {
			t.Errorf("trace %v: %s is not proven: %+v", to, last, got)
		}
	}
	mentions(t, "the verdict", got.Verdict+" "+got.Advice, words...)
	return got
}

// dropsForwarded makes a host drop or reject what goes from one device to
// another, in a table that no other program keeps, until the function is
// called.
func dropsForwarded(t *testing.T, h *lab.Host, from, to, verdict string) (mend func()) {
	t.Helper()
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(fmt.Sprintf(
		"table ip user { chain forward { type filter hook forward priority 10; iifname %q oifname %q %s; }; }", from, to, verdict))
	if r := h.RunCommand(t, cmd); r.Status != 0 {
		t.Fatalf("add a rule: %s", r.Stderr)
	}
	return func() { h.Exec(t, "nft", "delete", "table", "ip", "user") }
}

// A trace says where packets of containers are lost. Each fault is made on real
// hosts.
func TestTraceEndsWhereThePacketsDo(t *testing.T) {
	t.Parallel()
	l, h1, h2 := duo(t)
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)

	if got := traces(t, h1, p2.Addr, "container", "answers after"); got.From == p1.Addr.String() || got.Path != "udp" || len(got.Stations) != 6 {
		t.Errorf("%+v", got)
	}
	traces(t, h1, h2.Lease().Addr().Next(), "container", "answers after") // the bridge of the other host
	if links := h1.Exec(t, "ip", "link"); strings.Contains(links, "fltrace") {
		t.Errorf("a port is left:\n%s", links)
	}

	mend := dropsForwarded(t, h1, "docker0", "flannel0", "drop")
	traces(t, h1, p2.Addr, "kernel", "on this host, between docker0 and flannel0", "FORWARD", "nft list ruleset")
	mend()
	mend = dropsForwarded(t, h1, "docker0", "flannel0", "reject")
	traces(t, h1, p2.Addr, "kernel", "a rule of this host rejects it", "between docker0 and flannel0")
	mend()
	mend = dropsForwarded(t, h2, "flannel0", "docker0", "drop")
	traces(t, h1, p2.Addr, "peer", "lost on "+h2.NodeName, "between its routing and docker0", "FORWARD", "flanneld status")
	mend()
	p2.Sysctl(t, "net.ipv4.icmp_echo_ignore_all", "1")
	traces(t, h1, p2.Addr, "peer-bridge", "sent it into docker0", "does not take pings")
	p2.Sysctl(t, "net.ipv4.icmp_echo_ignore_all", "0")
	mend = dropsForwarded(t, h2, "docker0", "flannel0", "drop")
	traces(t, h1, p2.Addr, "container", "the answer came into docker0 of "+h2.NodeName, "FORWARD")
	mend()
	mend = dropsForwarded(t, h1, "flannel0", "docker0", "drop")
	traces(t, h1, p2.Addr, "container", "answers", "lost", "docker0")
	mend()
	mend = dropsForwarded(t, h2, "flannel0", "docker0", "reject with icmp type admin-prohibited")
	traces(t, h1, p2.Addr, "peer", "a rule of "+h2.NodeName, "rejects it", "code 13")
	mend()
	l.Drop("udp dport 8285")
	traces(t, h1, p2.Addr, "flanneld", "between this flanneld and the kernel of "+h2.NodeName, "8285", "which was asked, has not had it")
	l.Mend()
	gone := p2.Addr.Next().Next()
	traces(t, h1, gone, "peer", "reached "+h2.NodeName, "nothing there has the address", "ip neigh show "+gone.String())
	traces(t, h1, unheld(h1, h2), "flanneld", "no node holds a subnet", "flanneld nodes")
	h2.Exec(t, "ip", "link", "delete", "docker0")
	traces(t, h1, p2.Addr, "peer", h2.NodeName)

	for _, c := range []struct{ to, want string }{
		{"192.0.2.1", "not in the network"}, {p1.Addr.String(), "in the lease of this host"},
	} {
		if r := h1.Flanneld("trace", c.to); r.Status != 1 {
			t.Errorf("trace %s: exit status %d", c.to, r.Status)
		} else {
			clearError(t, r.Stderr, c.want)
		}
	}
	h1.Exec(t, "ip", "link", "delete", "docker0")
	if r := h1.Flanneld("trace", p2.Addr.String()); r.Status != 1 {
		t.Errorf("without a bridge: exit status %d", r.Status)
	} else {
		clearError(t, r.Stderr, "no bridge has an address of the lease")
	}
}

// Packets by a kernel path do not pass flanneld, and are traced all the same.
func TestTraceFollowsAKernelPath(t *testing.T) {
	t.Parallel()
	_, p1, p2 := joined(t, "vxlan,udp")
	if got := traces(t, p1.Host, p2.Addr, "container", "answers after"); got.Path != "vxlan" || len(got.Stations) != 5 {
		t.Errorf("%+v", got)
	}
	mend := dropsForwarded(t, p2.Host, "flannel.1", "docker0", "drop")
	traces(t, p1.Host, p2.Addr, "peer", "lost on "+p2.Host.NodeName, "between its routing and docker0")
	mend()
	mend = dropsForwarded(t, p2.Host, "docker0", "flannel.1", "drop")
	traces(t, p1.Host, p2.Addr, "container", "the answer came into docker0")
	mend()
}
