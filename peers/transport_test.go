package peers

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"flanneld/peers/internal/core"
)

func testTransport(t *testing.T) *transport {
	t.Helper()
	tr, err := listen(kernel{}, nextHost(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Shutdown() })
	return tr
}

func TestStreamsOfOneHostAreLimited(t *testing.T) {
	t.Parallel()
	tr := testTransport(t)
	var here, there []net.Conn
	for range maxStreamsPerHost {
		c, err := net.Dial("tcp4", tr.local.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		there, here = append(there, c), append(here, <-tr.StreamCh())
	}
	over, err := net.Dial("tcp4", tr.local.String())
	if err != nil {
		t.Fatal(err)
	}
	defer over.Close()
	if _, err := over.Read(make([]byte, 1)); err == nil || tr.overLimit() != 1 {
		t.Errorf("one more: %v, %d over the limit", err, tr.overLimit())
	}
	other := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(nextHost(), 0))}
	c, err := other.Dial("tcp4", tr.local.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = (<-tr.StreamCh()).Close()
	// One that ends makes room for another.
	_ = here[0].Close()
	_ = here[0].Close()
	_ = there[0].Close()
	again, err := net.Dial("tcp4", tr.local.String())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	_ = (<-tr.StreamCh()).Close()
}

func TestStreamEndsAfterItsLimit(t *testing.T) {
	t.Parallel()
	tr := testTransport(t)
	c, err := net.Dial("tcp4", tr.local.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() { _, _ = c.Write(make([]byte, maxStreamBytes+1)) }() // ends with c
	n, err := io.Copy(io.Discard, <-tr.StreamCh())
	if n != maxStreamBytes || !errors.Is(err, errStreamTooLong) {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

func TestShutdownEndsStreamsAndDials(t *testing.T) {
	t.Parallel()
	tr := testTransport(t)
	c, err := net.Dial("tcp4", tr.local.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := <-tr.StreamCh()
	if err := tr.Shutdown(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if _, err := tr.DialTimeout(tr.local.String(), time.Minute); err == nil {
		t.Error("dialled after Shutdown")
	}
	if _, err := tr.WriteTo([]byte{1}, tr.local.String()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write: %v", err)
	}
}

func TestDiallingOurselvesIsNoticed(t *testing.T) {
	t.Parallel()
	tr := testTransport(t)
	tr.watch("try")
	c, err := tr.DialAddressTimeout(memberlist.Address{Addr: tr.local.String(), Name: "try"}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = (<-tr.StreamCh()).Close()
	if try := tr.unwatch("try"); try.err != nil || !tr.isOwnStream(try.local) {
		t.Errorf("%+v is not ours", try)
	}
	if tr.isOwnStream(tr.local) {
		t.Error("the listener's address is no stream's")
	}
}

// testGossip is a member without a core.
func testGossip(t *testing.T, id core.NodeID) *gossip {
	t.Helper()
	tr, err := listen(kernel{}, nextHost(), 0)
	if err != nil {
		t.Fatal(err)
	}
	about := meta{node: id, network: core.NetworkID{1}, prefix: DefaultNetwork}
	g := newGossip(tr, about, 1, tr.local, nil, slog.New(slog.DiscardHandler))
	if err := g.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.stop)
	return g
}

func TestMessagesOfAllLengthsArrive(t *testing.T) {
	t.Parallel()
	one, two := testGossip(t, core.NodeID{1}), testGossip(t, core.NodeID{2})
	if _, err := one.list.Join([]string{two.endpoint.String()}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, maxDatagram - directHeader, maxDatagram - directHeader + 1, 1 << 20} {
		want := bytes.Repeat([]byte{7}, n)
		one.send(core.NodeID{2}, want)
		select {
		case b := <-two.messages:
			if f, err := parseFrame(b); err != nil || !bytes.Equal(f.msg, want) || f.from != (core.NodeID{1}) {
				t.Errorf("%d bytes: %v", n, err)
			}
		case <-time.After(waitAtMost):
			t.Fatalf("%d bytes never arrived", n)
		}
	}
	one.broadcast("key", []byte("old"))
	one.broadcast("key", []byte("rumour"))
	select {
	case b := <-two.messages:
		if f, err := parseFrame(b); err != nil || string(f.msg) != "rumour" {
			t.Errorf("rumour: %q, %v", f.msg, err)
		}
	case <-time.After(waitAtMost):
		t.Fatal("the rumour never arrived")
	}
}

func TestNewcomerIsAnsweredBeforeItIsAMember(t *testing.T) {
	t.Parallel()
	one, two := testGossip(t, core.NodeID{1}), testGossip(t, core.NodeID{2})
	two.send(core.NodeID{1}, []byte("nobody knows where"))
	two.paths.learn(frame{from: core.NodeID{1}, endpoint: one.endpoint, size: newcomerFrame}, time.Now())
	two.send(core.NodeID{1}, []byte("answer"))
	select {
	case b := <-one.messages:
		if f, err := parseFrame(b); err != nil || string(f.msg) != "answer" {
			t.Errorf("%q, %v", f.msg, err)
		}
	case <-time.After(waitAtMost):
		t.Fatal("the answer never arrived")
	}
}

func TestMembersOfOtherNetworksAndPlacesAreRefused(t *testing.T) {
	t.Parallel()
	g := testGossip(t, core.NodeID{1})
	ours := *g.about.Load()
	id := core.NodeID{2}
	member := func(name string, at string, about meta) *memberlist.Node {
		ep := netip.MustParseAddrPort(at)
		return &memberlist.Node{Name: name, Addr: ep.Addr().AsSlice(), Port: ep.Port(), Meta: about.encode()}
	}
	good := meta{node: id, network: ours.network, prefix: ours.prefix}
	other := meta{node: id, network: core.NetworkID{9}, prefix: ours.prefix}
	for _, c := range []struct {
		what string
		node *memberlist.Node
		ok   bool
	}{
		{"of our network", member(memberName(id, 1), "127.1.2.3:1", good), true},
		{"of none", member(memberName(id, 1), "127.1.2.3:1", meta{node: id}), true},
		{"of another", member(memberName(id, 1), "127.1.2.3:1", other), false},
		{"by another's name", member(memberName(core.NodeID{3}, 1), "127.1.2.3:1", good), false},
		{"by no name of ours", member("host-1", "127.1.2.3:1", good), false},
		{"without meta", &memberlist.Node{Name: memberName(id, 1), Addr: net.IPv4(127, 0, 0, 1), Port: 1}, false},
		{"at port 0", member(memberName(id, 1), "127.1.2.3:0", good), false},
		{"at a multicast address", member(memberName(id, 1), "224.0.0.1:1", good), false},
		{"elsewhere than on loopback", member(memberName(id, 1), "10.0.0.1:1", good), false},
	} {
		if err := (delegate{g}).NotifyAlive(c.node); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}
