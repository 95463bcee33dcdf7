// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// Time limits of the data path's verdicts.
const (
	// noticed is how long a break may stay unnoticed at rest: a probe every ten
	// seconds, and three lost ones.
	noticed = 20 * time.Second
	// healed is how long after the end of a break `status` may still report it.
	healed = 15 * time.Second
)

// rules loads nftables rules on a host, in a table of their own, as another
// program would; lift removes them.
func rules(t *testing.T, h *lab.Host, text string) (lift func()) {
	t.Helper()
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader("table inet other {\n" + text + "\n}\n")
	if r := h.RunCommand(t, cmd); r.Status != 0 {
		t.Fatalf("%s: nft: %s", h.NodeName, r.Stderr)
	}
	return func() { h.Exec(t, "nft", "delete", "table", "inet", "other") }
}

// well waits until status says ok, with exit status 0.
func well(t *testing.T, h *lab.Host, limit time.Duration) {
	t.Helper()
	lab.Eventually(t, limit, h.NodeName+" to be well", func() error {
		r := h.Flanneld("status")
		first, _, _ := strings.Cut(r.Stdout, "\n")
		return lab.Expect(r.Status == 0 && first == "ok", "exit status %d: %s%s", r.Status, r.Stdout, r.Stderr)
	})
}

// ill waits until status reports a problem, in its first line and by its exit
// status, and mentions all the words.
func ill(t *testing.T, h *lab.Host, limit time.Duration, words ...string) {
	t.Helper()
	lab.Eventually(t, limit, h.NodeName+" to say what is wrong", func() error {
		r := h.Flanneld("status")
		first, _, _ := strings.Cut(r.Stdout, "\n")
		if r.Status != 1 || !strings.Contains(first, "problem") {
			return fmt.Errorf("exit status %d: %s%s", r.Status, r.Stdout, r.Stderr)
		}
		for _, word := range words {
			if !strings.Contains(r.Stdout, word) {
				return fmt.Errorf("no %q in %s", word, r.Stdout)
			}
		}
		return nil
	})
}

func TestDataPathIsProvenByPacketsBeforeStatusSaysOK(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, h3 := l.Trio()
	for _, h := range []*lab.Host{h1, h2, h3} {
		well(t, h, 5*time.Second)
		nodes, err := h.Nodes()
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes.Nodes {
			if want := map[bool]string{true: "", false: "works"}[n.Self]; n.Path.State != want {
				t.Errorf("%s: data path to %s is %q, want %q", h.NodeName, n.Name, n.Path.State, want)
			}
		}
	}
}

// What drops packets between two daemons: rules of other programs on either
// side, one way or both, all packets or some.
func TestDataPathThatARuleDropsIsReportedOnBothSidesUntilItIsLifted(t *testing.T) {
	for _, c := range []struct {
		name, rules string
		here, there []string // what the host with the rules says, and the other one
	}{
		{"data port closed", "chain arriving { type filter hook input priority 10; udp dport 8285 drop; }",
			[]string{"to host1", "open UDP port 8285"}, []string{"to host2", "packets come from it", "open UDP port 8285 on host2"}},
		{"data port rejected", "chain arriving { type filter hook input priority -300; udp dport 8285 reject; }",
			[]string{"to host1"}, []string{"to host2"}},
		{"nothing may leave to the data port", "chain leaving { type filter hook output priority 0; udp dport 8285 drop; }",
			[]string{"to host1", "does not send there", "operation not permitted"}, []string{"to host2", "nothing comes from it"}},
		{"leaves and is dropped after", "chain post { type filter hook postrouting priority 0; udp dport 8285 drop; }",
			[]string{"to host1"}, []string{"to host2"}},
		{"dropped before everything", "chain pre { type filter hook prerouting priority -400; udp dport 8285 drop; }",
			[]string{"to host1"}, []string{"to host2"}},
		{"nothing enters by the device", "chain pre { type filter hook prerouting priority -400; iifname flannel0 drop; }",
			[]string{"packets from peers get no answer", "flannel0"}, []string{"to host2", "packets come from it"}},
		{"nothing of the host leaves by the device", "chain leaving { type filter hook output priority 0; oifname flannel0 drop; }",
			[]string{"packets from peers get no answer"}, []string{"to host2"}},
		{"large packets", "chain arriving { type filter hook input priority 10; udp dport 8285 meta length > 1000 drop; }",
			[]string{"small packets only"}, []string{"small packets only"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, h1, h2 := duo(t, "--shortcut", "off") // its datagrams pass no such rule
			well(t, h1, 5*time.Second)
			well(t, h2, 5*time.Second)
			lift := rules(t, h2, c.rules)
			limit := noticed
			if strings.HasPrefix(c.name, "large") {
				limit = 45 * time.Second
			}
			ill(t, h1, limit, c.there...)
			if c.here != nil {
				ill(t, h2, limit, c.here...)
			}
			lift()
			well(t, h1, healed)
			well(t, h2, healed)
		})
	}
}

// A host that ignores pings is no broken data path. One that drops all ICMP
// from the overlay to itself carries containers' packets all the same.
func TestDataPathToAHostThatAnswersNoPings(t *testing.T) {
	t.Parallel()
	_, h1, h2 := duo(t)
	h2.Sysctl(t, "net.ipv4.icmp_echo_ignore_all", "1")
	time.Sleep(noticed)
	well(t, h1, healed)
	nodes, err := h1.Nodes()
	if err != nil {
		t.Fatal(err)
	}
	if path := nodes.Find("host2").Path; path.State != "works" || !strings.Contains(path.Note, "no pings") {
		t.Errorf("got %+v", path)
	}
	lift := rules(t, h2, "chain pre { type filter hook prerouting priority -400; iifname flannel0 drop; }")
	ill(t, h1, noticed, "to host2")
	lift()
	well(t, h1, healed)
}

// A real flannel host answers probes like any other; one that is away does not,
// and there is no gossip to say so.
func TestDataPathToAStaticPeerIsProven(t *testing.T) {
	t.Parallel()
	l, h1 := founder(t, "--static-peer", "10.244.200.0/24=192.168.50.12:8285", "--static-peer", "10.244.201.0/24=192.168.50.13:8285")
	h2 := l.Host()
	h2.StartPlain(netip.MustParseAddr("10.244.200.0"), 1472, at(h1.Addr, 8285))
	ill(t, h1, 2*noticed, "1 problem: data path to 192.168.50.13 at 192.168.50.13:8285 does not work")
	nodes, err := h1.Nodes()
	if err != nil {
		t.Fatal(err)
	}
	if path := nodes.Find("192.168.50.12").Path; path.State != "works" {
		t.Errorf("path to the flannel host: %+v", path)
	}
}
