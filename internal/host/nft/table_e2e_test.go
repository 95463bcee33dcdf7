// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package nft

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"

	"flanneld/internal/host/link/linktest"
)

func TestMain(m *testing.M) { linktest.Main(m) }

const name = "test-table"

// loopback lets pass what comes from these addresses to UDP port 7000, and
// drops the rest.
func loopback(sources ...string) Content {
	return Content{
		Sets: []Set{
			{Name: "sources", Key: nftables.TypeIPAddr, Order: binaryutil.BigEndian, Counted: true, Keys: set(sources...)},
			{Name: "inputs", Key: nftables.TypeIFName, Order: binaryutil.NativeEndian, Keys: set(NameKey("lo"))},
		},
		Counters: []string{"dropped"},
		Chains: []Chain{
			{Name: "sources-only", Rules: [][]expr.Any{
				Join(Source(Reg), In("sources"), SetMark(8), Accept()),
				DropCounted("dropped"),
			}},
			{Name: "input", Hook: nftables.ChainHookInput, Priority: -5, Rules: [][]expr.Any{
				Join(Protocol(17), DestPort(Reg), Equal(Port(7000)), Meta(expr.MetaKeyIIFNAME), In("inputs"), Jump("sources-only")),
				Join(InputDevice("lo"), HasMark(8), Drop()),
			}},
		},
	}
}

func newTable(t *testing.T) *Table {
	t.Helper()
	table := New(name)
	t.Cleanup(func() {
		if _, err := table.Remove(); err != nil {
			t.Error(err)
		}
		if exists, err := Exists(name); err != nil || exists {
			t.Errorf("left behind: %t, %v", exists, err)
		}
	})
	return table
}

// ensure wants so many sentences, and a second Ensure without any.
func ensure(t *testing.T, table *Table, want Content, sentences int) {
	t.Helper()
	content := func(SourceCheck) Content { return want }
	changed, err := table.Ensure(content)
	if err != nil {
		t.Fatal(err)
	}
	if len(changed) != sentences {
		t.Errorf("%d sentences, want %d: %q", len(changed), sentences, changed)
	}
	if wrong, err := table.Check(); err != nil || len(wrong) > 0 {
		t.Errorf("Check after Ensure: %q, %v\n%s", wrong, err, linktest.Run(t, "nft list ruleset"))
	}
	if again, err := table.Ensure(content); err != nil || len(again) > 0 {
		t.Errorf("a second Ensure: %q, %v", again, err)
	}
}

// passes sends a datagram to this host from an address.
func passes(t *testing.T, from string) bool {
	t.Helper()
	server, err := net.ListenPacket("udp4", "127.0.0.1:7000")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client, err := net.ListenPacket("udp4", from+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.WriteTo([]byte("hello"), server.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	server.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	_, _, err = server.ReadFrom(make([]byte, 16))
	return err == nil
}

const one, two = "\x7f\x00\x00\x01", "\x7f\x00\x00\x02"

func TestKeysAndStructureChangeWithoutLossOfCounts(t *testing.T) {
	table := newTable(t)
	if wrong, err := table.Check(); err != nil || len(wrong) != 1 {
		t.Errorf("before the first Ensure: %q, %v", wrong, err)
	}
	if sets, err := table.Counts(); err != nil || sets != nil {
		t.Errorf("counts: %v, %v", sets, err)
	}
	if counters, err := table.Counters(); err != nil || counters != nil {
		t.Errorf("counters: %v, %v", counters, err)
	}
	ensure(t, table, loopback(one), 1)
	if !table.Created() {
		t.Error("the table was not made here")
	}
	counts := func(when string, arrived, dropped uint64) {
		t.Helper()
		sets, err := table.Counts()
		counters, err2 := table.Counters()
		if err = errors.Join(err, err2); err != nil || sets["sources"][one].Packets != arrived || counters["dropped"].Packets != dropped {
			t.Errorf("%s: %v, %v, %v", when, sets, counters, err)
		}
		if _, counted := sets["inputs"]; counted || counters["dropped"].Bytes != dropped*33 {
			t.Errorf("%s: %v, %v", when, sets, counters)
		}
	}
	if !passes(t, "127.0.0.1") || passes(t, "127.0.0.2") {
		t.Error("the rules are not those")
	}
	counts("at first", 1, 1)
	ensure(t, table, loopback(one, two), 0) // one key more
	if !passes(t, "127.0.0.2") {
		t.Error("the new key is not there")
	}
	counts("with another key", 1, 1)
	other := loopback(one)
	other.Chains[1].Rules = other.Chains[1].Rules[:1]
	ensure(t, table, other, 0) // other rules
	counts("with other rules", 1, 1)
	other.Chains[1].Priority = 7
	ensure(t, table, other, 0) // the chain is made anew
	if !passes(t, "127.0.0.1") || passes(t, "127.0.0.2") {
		t.Error("the rules are not those")
	}
	counts("with another priority", 2, 2)
	table = New(name) // another process
	if wrong, err := table.Check(); err != nil || len(wrong) > 0 {
		t.Errorf("for another process: %q, %v", wrong, err)
	}
	ensure(t, table, loopback(one), 0)
	if table.Created() {
		t.Error("the table was made here")
	}
	counts("in another process", 2, 2)
	linktest.Run(t, "nft flush chain ip test-table input")
	ensure(t, table, loopback(one), 1)
	counts("after a repair", 2, 2)
	if _, err := table.Ensure(func(SourceCheck) Content { return Content{} }); err != nil {
		t.Fatal(err)
	}
	if text := strings.Fields(linktest.Run(t, "nft list table ip test-table")); len(text) != 5 {
		t.Errorf("an empty table has %q", text)
	}
}

// What cannot be changed in place is made anew; what others add goes.
func TestWhatOthersMadeOfTheTableGoes(t *testing.T) {
	table := newTable(t)
	linktest.Script(t, `
		nft add table ip test-table
		nft add set ip test-table sources { type ipv4_addr ; }
		nft add element ip test-table sources { 127.0.0.1 }
		nft add set ip test-table inputs { type ipv4_addr ; }
		nft add map ip test-table more { type ipv4_addr : mark ; }
		nft add counter ip test-table others
		nft add chain ip test-table sources-only { type filter hook input priority 0 ; policy drop ; }
		nft add chain ip test-table last
		nft add rule ip test-table sources-only ip saddr @sources jump last
		nft add rule ip test-table last ip saddr { 127.0.0.3 , 127.0.0.4 } counter name others`)
	ensure(t, table, loopback(one), 0)
	text := linktest.Run(t, "nft list table ip test-table")
	for _, gone := range []string{"more", "others", "last", "policy drop"} {
		if strings.Contains(text, gone) {
			t.Errorf("%s is still there:\n%s", gone, text)
		}
	}
	if !passes(t, "127.0.0.1") || passes(t, "127.0.0.2") {
		t.Error("the rules are not those")
	}
	for _, damage := range []string{
		"nft delete table ip test-table",
		"nft add element ip test-table sources { 127.0.0.9 }",
		"nft delete element ip test-table sources { 127.0.0.1 }",
		"nft add chain ip test-table input { policy drop ; }",
		"nft insert rule ip test-table sources-only accept",
	} {
		linktest.Run(t, damage)
		if wrong, err := table.Check(); err != nil || len(wrong) != 1 {
			t.Errorf("Check after %s: %q, %v", damage, wrong, err)
		}
		ensure(t, table, loopback(one), 1)
	}
}

// Rules that the kernel does not take are an error, and nothing changes. Where
// it only lacks the look-up of sources, the content without it is taken.
func TestContentThatTheKernelRefuses(t *testing.T) {
	table := newTable(t)
	ensure(t, table, loopback(one), 1)
	var asked []SourceCheck
	if _, err := table.Ensure(func(check SourceCheck) Content {
		asked = append(asked, check)
		c := loopback(one)
		c.Chains[0].Rules[0] = In("no-such-set")
		return c
	}); err == nil {
		t.Error("a rule that looks up a set that is not there was taken")
	}
	if !slices.Equal(asked, []SourceCheck{InAnyHook, InPrerouting, Nowhere}) {
		t.Errorf("asked for %v", asked)
	}
	if !passes(t, "127.0.0.1") || passes(t, "127.0.0.2") {
		t.Error("the rules are not those from before")
	}
	if _, err := table.Ensure(func(check SourceCheck) Content {
		c := loopback(two)
		if check > Nowhere {
			c.Chains[0].Rules[0] = In("no-such-set")
		}
		return c
	}); err != nil {
		t.Error(err)
	}
	if passes(t, "127.0.0.1") {
		t.Error("the content without it was not taken")
	}
}
