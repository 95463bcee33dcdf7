// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

// gateOf returns a gossip in which only the gate and its transport run, so that
// a test gets what passes.
func gateOf(t *testing.T, ring *wire.Keyring) *Agent { return gateThatTells(t, ring, tells{}) }

// gateThatTells is a gate that answers the questions of others.
func gateThatTells(t *testing.T, ring *wire.Keyring, what tells) *Agent {
	t.Helper()
	tr, err := Listen(Kernel{}, nextAddr(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Shutdown() })
	return newAgent(tr, aboutOf(identityOf(1), tr), identityOf(1), ring, what, slog.New(slog.DiscardHandler))
}

// aboutOf is the meta of a member at a transport.
func aboutOf(id record.Identity, tr *Transport) wire.Meta {
	return wire.Meta{
		Node: id.ID(), Key: [32]byte(id.Public()), Speaks: wire.OwnVersions, Start: 1, Instance: 1, At: tr.local,
		Network: record.NetworkID{1}, Prefix: testNetwork,
	}
}

// plainFrame is one side of a stream in an open network.
func plainFrame(msg []byte) []byte {
	return append(binary.BigEndian.AppendUint32(wire.Envelope(wire.ModePlain), uint32(len(msg))), msg...)
}

// call dials a gossip from an address, the kernel's choice where there is none,
// and sends a ping for it.
func (g *Agent) call(t *testing.T, from netip.Addr) net.Conn {
	t.Helper()
	d := net.Dialer{}
	if from.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	c, err := d.Dial("tcp4", g.transport.local.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := c.Write(plainFrame(wire.Ping{Seq: 1, Node: g.name}.Encode())); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestStreamsOfOneHostAreLimited(t *testing.T) {
	t.Parallel()
	g := gateOf(t, nil)
	tr := g.transport
	var here, there []net.Conn
	for range maxStreamsPerHost {
		there = append(there, g.call(t, netip.Addr{}))
		here = append(here, <-tr.StreamCh())
	}
	over := g.call(t, netip.Addr{})
	if _, err := over.Read(make([]byte, 1)); err == nil || tr.overLimit() != 1 {
		t.Errorf("one more: %v, %d over the limit", err, tr.overLimit())
	}
	g.call(t, nextAddr())
	_ = (<-tr.StreamCh()).Close()
	// One that ends makes room for another.
	_ = here[0].Close()
	_ = here[0].Close()
	_ = there[0].Close()
	g.call(t, netip.Addr{})
	_ = (<-tr.StreamCh()).Close()
	for _, s := range here[1:] {
		_ = s.Close()
	}
}

// More strangers than strangers may be leave room for members.
func TestStrangersLeaveRoomForTheStreamsOfMembers(t *testing.T) {
	t.Parallel()
	g := gateOf(t, nil)
	tr, friend := g.transport, nextAddr()
	g.members.setHolders(map[record.NodeID]bool{{9}: true}, map[netip.AddrPort]bool{netip.AddrPortFrom(friend, 1): true})
	for range maxStrangers / maxStreamsPerHost {
		from := nextAddr()
		for range maxStreamsPerHost {
			g.call(t, from)
			defer (<-tr.StreamCh()).Close()
		}
	}
	over := g.call(t, nextAddr())
	if _, err := over.Read(make([]byte, 1)); err == nil || tr.overLimit() != 1 {
		t.Errorf("one more stranger: %v, %d over the limit", err, tr.overLimit())
	}
	g.call(t, friend)
	_ = (<-tr.StreamCh()).Close()
}

func TestStreamEndsAfterItsLimit(t *testing.T) {
	t.Parallel()
	g := gateOf(t, nil)
	c, err := net.Dial("tcp4", g.transport.local.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	long := append(wire.EncodeUser(maxStreamBytes), make([]byte, maxStreamBytes)...)
	go func() { _, _ = c.Write(plainFrame(long)) }() // ends with c
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("more than a stream may hold was answered")
	}
	if n := g.refused.Load(); n != 1 {
		t.Errorf("%d streams were refused", n)
	}
}

func TestShutdownEndsStreamsAndDials(t *testing.T) {
	t.Parallel()
	g := gateOf(t, nil)
	tr := g.transport
	g.call(t, netip.Addr{})
	s := <-tr.StreamCh()
	waiting, err := net.Dial("tcp4", tr.local.String()) // and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	if err := tr.Shutdown(); err != nil {
		t.Fatal(err)
	}
	if _, err := waiting.Read(make([]byte, 1)); err == nil {
		t.Error("a stream that has said nothing is still open")
	}
	if _, err := s.Write([]byte{1}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write to a stream: %v", err)
	}
	if _, err := tr.DialTimeout(tr.local.String(), time.Minute); err == nil {
		t.Error("dialed after Shutdown")
	}
	if _, err := tr.WriteTo([]byte{1}, tr.local.String()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write: %v", err)
	}
}

func TestDiallingOurselvesIsNoticed(t *testing.T) {
	t.Parallel()
	g := gateOf(t, nil)
	tr := g.transport
	tr.watch("try")
	c, err := tr.DialAddressTimeout(memberlist.Address{Addr: tr.local.String(), Name: "try"}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(wire.Ping{Seq: 1, Node: g.name}.Encode()); err != nil {
		t.Fatal(err)
	}
	_ = (<-tr.StreamCh()).Close()
	if try := tr.unwatch("try"); try.err != nil || !tr.isOwnStream(try.local) {
		t.Errorf("%+v is not ours", try)
	}
	if tr.isOwnStream(tr.local) {
		t.Error("the listener's address is no stream's")
	}
}

// testGossip is a member without a core. Its questions are put as the core's
// goroutine would.
func testGossip(t *testing.T, id record.Identity) *Agent {
	t.Helper()
	tr, err := Listen(Kernel{}, nextAddr(), 0)
	if err != nil {
		t.Fatal(err)
	}
	g := newAgent(tr, aboutOf(id, tr), id, nil, tells{}, slog.New(slog.DiscardHandler))
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Stop)
	return g
}

// meeting waits until two members have proven to each other that they are
// there.
func meeting(t *testing.T, one, two *Agent) {
	t.Helper()
	late := time.After(giveUpAfter)
	for {
		_, first := one.members.of(two.about.Load().Node)
		_, second := two.members.of(one.about.Load().Node)
		if first && second {
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
			one.askDue(time.Now())
			two.askDue(time.Now())
		case <-late:
			t.Fatal("they never met")
		}
	}
}

func TestMessagesOfAllLengthsArrive(t *testing.T) {
	t.Parallel()
	first, second := identityOf(1), identityOf(2)
	one, two := testGossip(t, first), testGossip(t, second)
	if _, err := one.list.Join([]string{two.endpoint.String()}); err != nil {
		t.Fatal(err)
	}
	meeting(t, one, two)
	longest := maxDatagram - len(wire.EncodeDirect(first.ID(), one.endpoint, nil, 0)) // in a datagram
	for _, n := range []int{1, longest, longest + 1, 1 << 20} {
		want := bytes.Repeat([]byte{7}, n)
		one.Send(second.ID(), netip.AddrPort{}, want)
		select {
		case b := <-two.messages:
			if f, err := wire.ParseFrame(b); err != nil || !bytes.Equal(f.Message, want) || f.From != first.ID() {
				t.Errorf("%d bytes: %v", n, err)
			}
		case <-time.After(giveUpAfter):
			t.Fatalf("%d bytes never arrived", n)
		}
	}
	one.Broadcast("key", []byte("old"))
	one.Broadcast("key", []byte("broadcast"))
	select {
	case b := <-two.messages:
		if f, err := wire.ParseFrame(b); err != nil || string(f.Message) != "broadcast" {
			t.Errorf("broadcast: %q, %v", f.Message, err)
		}
	case <-time.After(giveUpAfter):
		t.Fatal("the broadcast never arrived")
	}
}

func TestNewcomerIsAnsweredBeforeItIsAMember(t *testing.T) {
	t.Parallel()
	first, second := identityOf(1), identityOf(2)
	one, two := testGossip(t, first), testGossip(t, second)
	two.Send(first.ID(), netip.AddrPort{}, []byte("no node knows where"))
	two.paths.learn(wire.Frame{From: first.ID(), Endpoint: one.endpoint, Size: newcomerFrame}, time.Now())
	two.Send(first.ID(), netip.AddrPort{}, []byte("answer"))
	select {
	case b := <-one.messages:
		if f, err := wire.ParseFrame(b); err != nil || string(f.Message) != "answer" {
			t.Errorf("%q, %v", f.Message, err)
		}
	case <-time.After(giveUpAfter):
		t.Fatal("the answer never arrived")
	}
}

func TestMembersOfOtherNetworksAndPlacesAreRefused(t *testing.T) {
	t.Parallel()
	g := gateOf(t, nil)
	ours := *g.about.Load()
	key, other := identityOf(2), identityOf(3)
	id := key.ID()
	about := func(at string, change func(*wire.Meta)) wire.Meta {
		m := metaOf(key, 1, 0)
		m.At, m.Network, m.Prefix = netip.MustParseAddrPort(at), ours.Network, ours.Prefix
		if change != nil {
			change(&m)
		}
		return m
	}
	member := func(name string, m wire.Meta, signer record.Identity) wire.Member {
		return wire.Member{Node: name, At: m.At, Meta: m.Encode(signer), Vsn: make([]byte, 6)}
	}
	good := about("127.1.2.3:1", nil)
	for _, c := range []struct {
		what   string
		member wire.Member
		ok     bool
	}{
		{"of our network", member(wire.MemberName(id, 1), good, key), true},
		{"of none", member(wire.MemberName(id, 1), about("127.1.2.4:1", func(m *wire.Meta) { m.Network, m.Prefix = record.NetworkID{}, netip.Prefix{} }), key), true},
		{"of another", member(wire.MemberName(id, 1), about("127.1.2.3:1", func(m *wire.Meta) { m.Network = record.NetworkID{9} }), key), false},
		{"by another's name", member(wire.MemberName(record.NodeID{3}, 1), good, key), false},
		{"of another start", member(wire.MemberName(id, 2), good, key), false},
		{"signed by another", member(wire.MemberName(id, 1), good, other), false},
		{"by no name of ours", member("host-1", good, key), false},
		{"without meta", wire.Member{Node: wire.MemberName(id, 1), At: good.At}, false},
		{"at another endpoint than it says", func() wire.Member {
			m := member(wire.MemberName(id, 1), good, key)
			m.At = netip.MustParseAddrPort("127.1.2.9:1")
			return m
		}(), false},
		{"at port 0", member(wire.MemberName(id, 1), about("127.1.2.3:0", nil), key), false},
		{"at a multicast address", member(wire.MemberName(id, 1), about("224.0.0.1:1", nil), key), false},
		{"elsewhere than on loopback", member(wire.MemberName(id, 1), about("10.0.0.1:1", nil), key), false},
		{"of a later protocol", member(wire.MemberName(id, 1), about("127.1.2.3:1", func(m *wire.Meta) { m.Speaks = wire.Versions{Min: wire.ProtocolMax + 1, Max: wire.ProtocolMax + 2} }), key), false},
	} {
		if _, err := g.checkMember(c.member, false, time.Now()); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}
