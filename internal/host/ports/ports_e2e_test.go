// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package ports

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"flanneld/internal/host/link/linktest"
)

func TestMain(m *testing.M) { linktest.Main(m) }

func network(n int) Config {
	c := Config{Underlay: []string{"eth0", "br0"}}
	for i := range n {
		c.Members = append(c.Members, Member{Addr: netip.AddrFrom4([4]byte{192, 168, byte(i >> 8), byte(i)}), Data: 8285, Gossip: 8286, Self: i == 0})
	}
	return c
}

func newTable(t *testing.T) *Table {
	t.Helper()
	table, err := New("flannel0", uint32(os.Getuid()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Remove("flannel0"); err != nil {
			t.Error(err)
		}
		if left := linktest.Run(t, "nft list ruleset"); strings.Contains(left, "flanneld") {
			t.Errorf("left behind:\n%s", left)
		}
	})
	return table
}

func ensure(t *testing.T, table *Table, c Config, repairs int) {
	t.Helper()
	changed, err := table.Ensure(c)
	if err != nil {
		t.Fatal(err)
	}
	if len(changed) != repairs {
		t.Errorf("%d repairs, want %d: %q", len(changed), repairs, changed)
	}
	if wrong, err := table.Check(); err != nil || len(wrong) > 0 {
		t.Errorf("Check after Ensure: %q, %v\n%s", wrong, err, linktest.Run(t, "nft list ruleset"))
	}
	if again, err := table.Ensure(c); err != nil || len(again) > 0 {
		t.Errorf("a second Ensure: %q, %v", again, err)
	}
}

func TestTableHoldsWhatMembersAnnounce(t *testing.T) {
	table := newTable(t)
	ensure(t, table, network(3), 1)
	text := linktest.Run(t, "nft list table ip flanneld-flannel0")
	for _, want := range []string{
		"192.168.0.2 . 8285", "192.168.0.2 . tcp . 8286", "192.168.0.2 . udp . 8286", "hook output",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	ensure(t, table, network(2), 0)
	if text := linktest.Run(t, "nft list table ip flanneld-flannel0"); strings.Contains(text, "192.168.0.2") {
		t.Errorf("a member that is gone is still there:\n%s", text)
	}
}

// Whatever is taken away, added or changed comes back; a lasting difference is
// seen by Check.
func TestTableIsPutBack(t *testing.T) {
	table := newTable(t)
	c := network(3)
	ensure(t, table, c, 1)
	for _, damage := range []string{
		"nft flush ruleset",
		"nft delete table ip flanneld-flannel0",
		"nft flush table ip flanneld-flannel0",
		"nft flush chain ip flanneld-flannel0 output",
		"nft flush set ip flanneld-flannel0 data",
		"nft insert rule ip flanneld-flannel0 output accept",
		"nft add element ip flanneld-flannel0 underlay { evil0 }",
		"nft delete element ip flanneld-flannel0 gossip { 192.168.0.2 . tcp . 8286 }",
		"nft add chain ip flanneld-flannel0 output { policy drop ; }",
		"nft add chain ip flanneld-flannel0 more",
	} {
		linktest.Run(t, damage)
		if wrong, err := table.Check(); err != nil || len(wrong) == 0 {
			t.Errorf("Check sees nothing of %q: %v", damage, err)
		}
		ensure(t, table, c, 1)
	}
	linktest.Run(t, "nft add table ip other")
	ensure(t, table, c, 0)
	linktest.Run(t, "nft delete table ip other")
}

// Another program may have taken all chains away: the table is ours still.
func TestTableWithoutChainsIsRemoved(t *testing.T) {
	ensure(t, newTable(t), network(3), 1)
	for _, chain := range []string{"forward", "input", "prerouting", "output", "container", "users", "data-forward"} {
		linktest.Try("nft delete chain ip flanneld-flannel0 " + chain) // no kernel has them all
	}
	if left := linktest.Run(t, "nft list table ip flanneld-flannel0"); strings.Contains(left, "chain") {
		t.Fatalf("chains are left: %s", left)
	}
	if err := Remove("flannel0"); err != nil {
		t.Fatal(err)
	}
	if left := linktest.Run(t, "nft list tables"); strings.Contains(left, "flanneld-flannel0") {
		t.Errorf("left behind: %s", left)
	}
}

// Tables of other devices and families are not ours to remove.
func TestOtherTablesStay(t *testing.T) {
	ensure(t, newTable(t), network(3), 1)
	linktest.Script(t, "nft add table ip flanneld-flannel01\nnft add table inet flanneld-flannel0\nnft add table ip other")
	if err := Remove("flannel0"); err != nil {
		t.Fatal(err)
	}
	left := linktest.Run(t, "nft list tables")
	if want := "table inet flanneld-flannel0\ntable ip flanneld-flannel01\ntable ip other\n"; sorted(left) != want {
		t.Errorf("left %q, want %q", sorted(left), want)
	}
	linktest.Script(t, "nft delete table ip flanneld-flannel01\nnft delete table inet flanneld-flannel0\nnft delete table ip other")
}

func sorted(text string) string {
	lines := slices.Sorted(strings.Lines(text))
	return strings.Join(lines, "")
}

// Members come and go while the table is in place: only what differs is sent,
// and counters go on.
func TestChangeOfMembersKeepsTheCounters(t *testing.T) {
	table := newTable(t)
	ensure(t, table, network(3), 1)
	handle := func() string {
		return linktest.Run(t, "nft -a list chain ip flanneld-flannel0 output")
	}
	before := handle()
	for _, n := range []int{5, 2, 2500, 1, 3} {
		ensure(t, table, network(n), 0)
	}
	if after := handle(); after != before {
		t.Errorf("the chain was made anew:\n%s\n%s", before, after)
	}
	c := network(3)
	c.Underlay = nil
	ensure(t, table, c, 0)
	if text := linktest.Run(t, "nft list set ip flanneld-flannel0 underlay"); strings.Contains(text, "eth0") {
		t.Errorf("the underlay is there still: %s", text)
	}
}

func TestTableOfAThousandMembers(t *testing.T) {
	table := newTable(t)
	for _, n := range []int{1000, 5000} {
		start := time.Now()
		if _, err := table.Ensure(network(n)); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d members written in %v", n, time.Since(start))
		start = time.Now()
		ensure(t, table, network(n-1), 0)
		t.Logf("one less, and checked, in %v", time.Since(start))
		linktest.Run(t, "nft delete table ip flanneld-flannel0")
		ensure(t, table, network(n), 1)
		if got := strings.Count(linktest.Run(t, "nft list set ip flanneld-flannel0 gossip"), "tcp"); got != n {
			t.Errorf("%d members in the set, want %d", got, n)
		}
	}
	const rounds = 1000
	start := time.Now()
	c := network(1000)
	for range rounds {
		if _, err := table.Ensure(c); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("an Ensure with nothing to do takes %v", time.Since(start)/rounds)
}

func TestRestartTakesTheTableOver(t *testing.T) {
	first := newTable(t)
	ensure(t, first, network(3), 1)
	second, err := New("flannel0", 65534)
	if err != nil {
		t.Fatal(err)
	}
	ensure(t, second, network(2), 0)
	if first.Created() == second.Created() {
		t.Errorf("created: first %t, second %t", first.Created(), second.Created())
	}
	if text := linktest.Run(t, "nft list chain ip flanneld-flannel0 users"); !strings.Contains(text, fmt.Sprint(65534)) {
		t.Errorf("the second daemon's user may not send:\n%s", text)
	}
}
