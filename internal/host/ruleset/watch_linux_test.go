// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"encoding/binary"
	"os"
	"reflect"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// attribute is a string attribute as the kernel sends it.
func attribute(kind uint16, text string) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(text)+1))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(append(b, text...), 0)
	return append(b, make([]byte, align(len(b))-len(b))...)
}

// message is one of nf_tables with attributes.
func message(kind int, family Family, attrs ...[]byte) []byte {
	b := make([]byte, unix.NLMSG_HDRLEN+headerLen)
	binary.NativeEndian.PutUint16(b[4:], uint16(unix.NFNL_SUBSYS_NFTABLES<<8|kind))
	b[unix.NLMSG_HDRLEN] = byte(family)
	for _, a := range attrs {
		b = append(b, a...)
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	return b
}

func TestTransactionsAreReadWithTheirProgram(t *testing.T) {
	var c Change
	c.add(append(
		message(unix.NFT_MSG_NEWCHAIN, FamilyInet, attribute(1, "x"), attribute(unix.NFTA_CHAIN_NAME, "f")),
		message(unix.NFT_MSG_NEWRULE, FamilyIPv4, attribute(1, "filter"), attribute(unix.NFTA_RULE_CHAIN, "FORWARD"))...))
	if c.Program != "" {
		t.Errorf("a program before the end of the transaction: %q", c.Program)
	}
	c.add(message(unix.NFT_MSG_NEWSET, FamilyInet, attribute(1, "x"), attribute(2, "set")))
	c.add(message(unix.NFT_MSG_NEWGEN, 0, attribute(unix.NFTA_GEN_PROC_NAME, "nft")))
	if c.Program != "nft" || c.All || len(c.Chains) != 3 {
		t.Fatalf("got %+v", c)
	}
	for _, chain := range []Chain{{FamilyInet, "x", "f"}, {FamilyIPv4, "filter", "FORWARD"}, {FamilyInet, "x", ""}} {
		if !c.Chains[chain] {
			t.Errorf("%+v is missing in %+v", chain, c.Chains)
		}
	}
}

func TestOldKernelsNameNoProgram(t *testing.T) {
	var c Change
	c.add(message(unix.NFT_MSG_NEWGEN, 0))
	if c.Program != "another program" {
		t.Errorf("got %q", c.Program)
	}
}

func TestMessagesOfOtherSubsystemsArePassedOver(t *testing.T) {
	b := message(unix.NFT_MSG_NEWRULE, FamilyIPv4)
	binary.NativeEndian.PutUint16(b[4:], unix.NFNL_SUBSYS_CTNETLINK<<8)
	var c Change
	if c.add(b); c.All || len(c.Chains) > 0 {
		t.Errorf("got %+v", c)
	}
}

// What cannot be read may have been anything.
func TestDamagedMessagesAreAChangeOfEverything(t *testing.T) {
	whole := message(unix.NFT_MSG_NEWRULE, FamilyIPv4, attribute(1, "filter"))
	long := append([]byte(nil), whole...)
	binary.NativeEndian.PutUint32(long, uint32(len(long)+1))
	short := append([]byte(nil), whole...)
	binary.NativeEndian.PutUint32(short, 4)
	for name, b := range map[string][]byte{
		"cut": whole[:len(whole)-2], "too long": long, "too short": short, "rest": append(append([]byte(nil), whole...), 1, 2),
	} {
		var c Change
		if c.add(b); !c.All {
			t.Errorf("%s: got %+v", name, c)
		}
	}
}

func TestTextOfDamagedAttributesIsEmpty(t *testing.T) {
	good := attribute(3, "name")
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"good": {good, "name"}, "second": {append(attribute(1, "x"), good...), "name"},
		"other kind": {attribute(4, "name"), ""}, "cut": {good[:6], ""}, "nothing": {nil, ""}, "length 0": {make([]byte, 8), ""},
	} {
		if got := text(c.b, 3); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A change is told when its transaction has ended, with all that it changed.
func TestTransactionIsToldWhenItHasEnded(t *testing.T) {
	events, kernel, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	tokens := make(chan struct{}, 1)
	w := &Watcher{Changed: tokens}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.read(events, tokens)
	}()
	write := func(b []byte) {
		t.Helper()
		if _, err := kernel.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	wait := func() Change {
		t.Helper()
		select {
		case <-w.Changed:
		case <-time.After(10 * time.Second):
			t.Fatal("a transaction that has ended is not told")
		}
		return w.Take()
	}
	rule := func(chain string) []byte {
		return message(unix.NFT_MSG_NEWRULE, FamilyIPv4, attribute(1, "filter"), attribute(unix.NFTA_RULE_CHAIN, chain))
	}
	write(rule("INPUT"))
	for read := false; !read; time.Sleep(time.Millisecond) { // the reader has it
		w.mu.Lock()
		read = len(w.change.Chains) == 1
		w.mu.Unlock()
	}
	select {
	case <-w.Changed:
		t.Error("told before the end")
	default:
	}
	write(append(rule("FORWARD"), message(unix.NFT_MSG_NEWGEN, 0, attribute(unix.NFTA_GEN_PROC_NAME, "dockerd"))...))
	want := Change{Program: "dockerd", Chains: map[Chain]bool{{FamilyIPv4, "filter", "INPUT"}: true, {FamilyIPv4, "filter", "FORWARD"}: true}}
	if c := wait(); !reflect.DeepEqual(c, want) {
		t.Errorf("told %+v, want %+v", c, want)
	}
	write([]byte("damaged"))
	if c := wait(); !c.All || c.Program != "" {
		t.Errorf("told %+v", c)
	}
	_ = kernel.Close()
	<-ended
	if c := w.Take(); !reflect.DeepEqual(c, Change{}) {
		t.Errorf("taken again: %+v", c)
	}
}

func TestChainsThatAreDeletedAreNoted(t *testing.T) {
	for kind, attr := range map[int]uint16{
		unix.NFT_MSG_DELCHAIN: unix.NFTA_CHAIN_NAME, unix.NFT_MSG_DELRULE: unix.NFTA_RULE_CHAIN, unix.NFT_MSG_NEWCHAIN: unix.NFTA_CHAIN_NAME,
	} {
		var c Change
		c.add(message(kind, FamilyInet, attribute(1, "x"), attribute(attr, "f")))
		if !c.Touches(func(chain Chain) bool { return chain == Chain{FamilyInet, "x", "f"} }) || c.All {
			t.Errorf("message %d: %+v", kind, c)
		}
	}
	var c Change
	c.add(message(unix.NFT_MSG_DELTABLE, FamilyInet, attribute(1, "x")))
	if !c.Chains[Chain{FamilyInet, "x", ""}] || c.Touches(func(chain Chain) bool { return chain.Name == "f" }) {
		t.Errorf("a table: %+v", c)
	}
}

// Whatever a program names its tables and chains, what is read stays bounded,
// and what cannot be read is a change of everything.
func FuzzMessages(f *testing.F) {
	whole := append(message(unix.NFT_MSG_NEWRULE, FamilyIPv4, attribute(1, "filter"), attribute(unix.NFTA_RULE_CHAIN, "FORWARD")),
		message(unix.NFT_MSG_NEWGEN, 0, attribute(unix.NFTA_GEN_PROC_NAME, "nft"))...)
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add(message(unix.NFT_MSG_DELTABLE, FamilyInet, []byte{3, 0, 1, 0}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var c, twice Change
		c.add(b)
		if len(c.Chains) > 1+len(b)/(unix.NLMSG_HDRLEN+headerLen) {
			t.Errorf("%d chains in %d bytes", len(c.Chains), len(b))
		}
		if len(b) > 0 && !c.All && len(b) < unix.NLMSG_HDRLEN+headerLen {
			t.Errorf("%x is a change of nothing", b)
		}
		twice.add(b)
		twice.add(b)
		if c.All != twice.All || c.Program != twice.Program || len(c.Chains) != len(twice.Chains) {
			t.Errorf("once %+v, twice %+v", c, twice)
		}
	})
}
