// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

// phantom is a member that does not exist.
func phantom(n int, network record.NetworkID) wire.Member {
	key := identityOf(99, byte(n>>16), byte(n>>8), byte(n))
	m := metaOf(key, 1, 1)
	m.At = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(n >> 8), byte(n)}), uint16(1+n>>16))
	m.Network, m.Prefix = network, testNetwork
	return wire.Member{Incarnation: 1, Node: m.Name(), At: m.At, Meta: m.Encode(key), Vsn: []byte{1, 5, 2, 0, 0, 0}}
}

// peakOf runs f and returns how far the heap, garbage included, rose above what
// it was. It is for tests that run alone.
func peakOf(f func()) int64 {
	debug.FreeOSMemory()
	var rest runtime.MemStats
	runtime.ReadMemStats(&rest)
	var peak atomic.Uint64
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapInuse))
			select {
			case <-time.After(5 * time.Millisecond):
			case <-done:
				return
			}
		}
	}()
	f()
	close(done)
	<-ended
	return int64(peak.Load()) - int64(rest.HeapInuse)
}

// Fifty thousand phantoms, said to be members by a member: memory and time are
// bounded by what a node looks at.
func TestPhantomsCostLittle(t *testing.T) {
	g := gateOf(t, nil)
	liar := netip.AddrPortFrom(nextAddr(), 1)
	g.members.setHolders(map[record.NodeID]bool{{9}: true}, map[netip.AddrPort]bool{liar: true})
	const phantoms = 50_000
	msgs := make([][]byte, phantoms)
	for n := range msgs {
		msgs[n] = append(wire.Envelope(wire.ModePlain), phantom(n, record.NetworkID{1}).Encode()...)
	}
	var took time.Duration
	grown := peakOf(func() {
		start := time.Now()
		for n, msg := range msgs {
			g.datagram(msg, liar)
			if n%100 == 0 {
				g.askDue(time.Now())
			}
		}
		took = time.Since(start)
	})
	t.Logf("%d phantoms: %d applicants, %v, heap %+.1f MB", phantoms, len(g.members.applicants), took, float64(grown)/1e6)
	if len(g.members.applicants) > maxApplicants || len(g.members.members) != 0 || len(g.members.identities.buckets) > 4*maxApplicants {
		t.Errorf("%d applicants, %d members", len(g.members.applicants), len(g.members.members))
	}
	if grown > 32<<20 || took > 5*time.Second {
		t.Errorf("that is too much: %d bytes, %v", grown, took)
	}
}

// ringOf is a key ring with one key.
func ringOf(n byte) *wire.Keyring { return wire.NewKeyring([wire.KeySize]byte{n}) }

// pour dials from an address, sends a beginning, and then zeros until the other
// side ends the stream or the time is over. It returns how much went out.
func pour(to, from netip.Addr, port uint16, beginning []byte, until time.Time) (sent int) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), Deadline: until}
	c, err := d.Dial("tcp4", netip.AddrPortFrom(to, port).String())
	if err != nil {
		return 0
	}
	defer c.Close()
	_ = c.SetDeadline(until)
	junk := make([]byte, 64<<10)
	sent, err = c.Write(beginning)
	for err == nil && sent < 25<<20 {
		var n int
		n, err = c.Write(junk)
		sent += n
	}
	_, _ = c.Read(junk) // until it ends
	return sent
}

// What strangers announce costs nothing, and what they send has one bound for
// all strangers, in an open network and in a sealed one.
func TestStreamsOfStrangersShareOneBudget(t *testing.T) {
	frame := func(mode byte, announced uint32, content []byte) []byte {
		b := wire.Envelope(mode)
		if mode == wire.ModeSealed {
			b = append(b, make([]byte, wire.SaltSize)...)
		}
		return append(binary.BigEndian.AppendUint32(b, announced), content...)
	}
	members := []byte("\x06\x83\xa5Nodes\xce\x00\x10\x00\x00\xacUserStateLen\x00\xa4Join\xc3") // 2^20 of them
	for _, c := range []struct {
		what      string
		sealed    bool
		beginning []byte
	}{
		{"20 MB", false, frame(wire.ModePlain, 20<<20, wire.EncodeUser(20<<20))},
		{"8 MB", false, frame(wire.ModePlain, maxStreamBytes, wire.EncodeUser(maxStreamBytes))},
		{"4 MB", false, frame(wire.ModePlain, strangerBytes, wire.EncodeUser(strangerBytes))},
		{"a million members", false, frame(wire.ModePlain, maxStreamBytes, members)},
		{"a million members in a short frame", false, frame(wire.ModePlain, uint32(len(members)), members)},
		{"compressed", false, frame(wire.ModePlain, 1000, []byte{wire.TypeCompressed})},
		{"sealed with another key", true, frame(wire.ModeSealed, maxStreamBytes, nil)},
		{"plain to a sealed network", true, frame(wire.ModePlain, maxStreamBytes, nil)},
		{"sealed to an open network", false, frame(wire.ModeSealed, maxStreamBytes, nil)},
	} {
		t.Run(c.what, func(t *testing.T) {
			var ring *wire.Keyring
			if c.sealed {
				ring = ringOf(1)
			}
			g := gateOf(t, ring)
			var froms []netip.Addr
			for range 8 {
				froms = append(froms, nextAddr())
			}
			const streams = 64
			grown := peakOf(func() {
				done := make(chan int)
				for i := range streams {
					go func() {
						done <- pour(g.transport.local.Addr(), froms[i%len(froms)], g.transport.local.Port(), c.beginning, time.Now().Add(3*time.Second))
					}()
				}
				for range streams {
					<-done
				}
			})
			t.Logf("%d streams: heap %+.1f MB", streams, float64(grown)/1e6)
			if grown > 32<<20 {
				t.Errorf("the heap has grown by %d bytes", grown)
			}
			late := time.Now().Add(2 * streamTimeout)
			for g.transport.strangerRoom.left.Load() != strangerBytes && time.Now().Before(late) {
				time.Sleep(10 * time.Millisecond)
			}
			if left := g.transport.strangerRoom.left.Load(); left != strangerBytes {
				t.Errorf("%d bytes are never given back", strangerBytes-left)
			}
		})
	}
}

// What one stranger's streams may bring is bounded in the long run, not only at
// a time.
func TestBytesOfOneStrangerAreBounded(t *testing.T) {
	g := gateOf(t, nil)
	const size = 3 << 20
	frame := append(binary.BigEndian.AppendUint32(wire.Envelope(wire.ModePlain), size), make([]byte, size)...)
	// read reports whether the node has read a frame to its end: what is left
	// over resets the connection.
	read := func(from netip.Addr) bool {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
		c, err := d.Dial("tcp4", g.transport.local.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(streamTimeout))
		if _, err := c.Write(frame); err != nil {
			return false
		}
		_, err = c.Read(make([]byte, 1))
		return errors.Is(err, io.EOF)
	}
	from, began, whole := nextAddr(), time.Now(), 0
	for range 16 {
		if read(from) {
			whole++
		}
	}
	most := int(callBytesBurst+callBytesRate*time.Since(began).Seconds()) / size
	if whole < callBytesBurst/size || whole > most {
		t.Errorf("%d frames of 3 MB were read, want %d to %d", whole, callBytesBurst/size, most)
	}
	if !read(nextAddr()) {
		t.Error("another stranger pays for it")
	}
}

// passed returns the messages that a datagram from an endpoint lets through.
func (g *Agent) passed(b []byte, from netip.AddrPort) [][]byte {
	var got [][]byte
	done := make(chan struct{})
	go func() {
		g.datagram(b, from)
		close(done)
	}()
	for {
		select {
		case p := <-g.transport.packets:
			got = append(got, p.Buf)
		case <-done:
			return got
		}
	}
}

func compoundOf(parts ...[]byte) []byte {
	b := []byte{wire.TypeCompound, byte(len(parts))}
	for _, p := range parts {
		b = binary.BigEndian.AppendUint16(b, uint16(len(p)))
	}
	return append(b, bytes.Join(parts, nil)...)
}

// Compressed, nested, sealed twice and unknown messages do not pass, whatever
// they are in.
func TestOnlyPlainMessagesPassTheGate(t *testing.T) {
	t.Parallel()
	for _, ring := range []*wire.Keyring{nil, ringOf(1)} {
		g := gateOf(t, ring)
		friend := netip.AddrPortFrom(nextAddr(), 1)
		g.members.setHolders(map[record.NodeID]bool{{9}: true}, map[netip.AddrPort]bool{friend: true})
		wrap := func(msg []byte) []byte {
			if ring == nil {
				return append(wire.Envelope(wire.ModePlain), msg...)
			}
			return wire.SealDatagram(wire.Envelope(wire.ModeSealed), ring, msg)
		}
		ping := wire.Ping{Seq: 7, Node: g.name}.Encode()
		if got := g.passed(wrap(ping), friend); len(got) != 1 || !bytes.Equal(got[0], ping) {
			t.Fatalf("a ping: %q", got)
		}
		if got := g.passed(wrap(compoundOf(ping, ping)), friend); len(got) != 2 {
			t.Errorf("two pings: %q", got)
		}
		packed := append([]byte{wire.TypeCompressed}, "\x82\xa4Algo\x00\xa3Buf\xa1x"...)
		for what, msg := range map[string][]byte{
			"compressed":             packed,
			"compressed in compound": compoundOf(packed),
			"nested compound":        compoundOf(compoundOf(ping)),
			"encrypted":              append([]byte{10, 0, 0, 0, 9}, ping...),
			"checksummed":            append([]byte{wire.TypeChecksum, 0, 0, 0, 0}, ping...),
			"push/pull":              append([]byte{wire.TypePushPull}, ping[1:]...),
			"unknown":                {77, 1, 2, 3},
			"empty":                  {},
			"one byte":               {wire.TypePing},
			"with a tail":            append(bytes.Clone(ping), 0),
			"cut compound":           compoundOf(ping, ping)[:30],
			"compound with a tail":   append(compoundOf(ping), 1),
			"empty part":             compoundOf(nil),
			"ping for no node":       wire.Ping{Seq: 7}.Encode(),
			"long name":              wire.Ping{Seq: 7, Node: string(make([]byte, 65))}.Encode(),
			"great incarnation":      wire.Accusation{Incarnation: wire.MaxIncarnation + 1, Node: g.name, From: "x"}.Encode(wire.TypeDead),
		} {
			if got := g.passed(wrap(msg), friend); len(got) != 0 {
				t.Errorf("%s: %q", what, got)
			}
		}
		if got := g.passed(make([]byte, maxPacket+1), friend); len(got) != 0 {
			t.Errorf("too long: %q", got)
		}
		if got := g.passed(append(wire.Envelope(1-wrap(nil)[wire.EnvelopeSize-1]), ping...), friend); len(got) != 0 {
			t.Errorf("of the other mode: %q", got)
		}
		if ring != nil {
			b := wrap(ping)
			for i := wire.EnvelopeSize; i < len(b); i++ {
				forged := bytes.Clone(b)
				forged[i] ^= 1
				if got := g.passed(forged, friend); len(got) != 0 {
					t.Errorf("byte %d was changed: %q", i, got)
				}
			}
			if got := g.passed(wire.SealDatagram(wire.Envelope(wire.ModeSealed), ringOf(2), ping), friend); len(got) != 0 {
				t.Errorf("sealed with another key: %q", got)
			}
		}
	}
}

// A stranger may not say what a member may, and a newcomer not what a holder
// may.
func TestGatePassesWhatTheSenderMaySay(t *testing.T) {
	t.Parallel()
	g := gateOf(t, nil)
	key, other := identityOf(2), identityOf(3)
	in := metaOf(key, 1, 1001)
	in.At = netip.AddrPortFrom(nextAddr(), 1)
	r := g.members
	n := startOf(key, 1, 1)
	n.Addr, n.Meta = in.At.Addr().AsSlice(), in.Encode(key)
	hold := netip.AddrPortFrom(nextAddr(), 1)
	r.setHolders(map[record.NodeID]bool{other.ID(): true}, map[netip.AddrPort]bool{hold: true})
	r.put(n)
	strange := netip.AddrPortFrom(nextAddr(), 1)
	third := netip.AddrPortFrom(nextAddr(), 1)
	direct := func(at netip.AddrPort) []byte {
		return append([]byte{wire.TypeUser}, wire.EncodeDirect(other.ID(), at, []byte("message"), 0)...)
	}
	accused := wire.Accusation{Incarnation: 1, Node: in.Name(), From: "x"}
	for _, c := range []struct {
		what                      string
		msg                       func(from netip.AddrPort) []byte
		stranger, newcomer, holds bool
	}{
		{"ping", func(netip.AddrPort) []byte { return wire.Ping{Seq: 1, Node: g.name}.Encode() }, true, true, true},
		{"ping to be answered elsewhere", func(netip.AddrPort) []byte { return wire.Ping{Seq: 1, Node: g.name, Source: third}.Encode() }, false, false, false},
		{"ping to be answered to a member", func(netip.AddrPort) []byte { return wire.Ping{Seq: 1, Node: g.name, Source: in.At}.Encode() }, true, true, true},
		{"ack", func(netip.AddrPort) []byte { return wire.EncodeAck(wire.TypeAck, 1) }, false, true, true},
		{"nack", func(netip.AddrPort) []byte { return wire.EncodeAck(wire.TypeNack, 1) }, false, true, true},
		{"indirect ping", func(netip.AddrPort) []byte {
			return wire.IndirectPing{Ping: wire.Ping{Seq: 1, Node: in.Name()}, Target: in.At, Nack: true}.Encode()
		}, false, true, true},
		{"indirect ping of a third party", func(netip.AddrPort) []byte {
			return wire.IndirectPing{Ping: wire.Ping{Seq: 1, Node: in.Name()}, Target: third, Nack: true}.Encode()
		}, false, false, false},
		{"broadcast", func(netip.AddrPort) []byte {
			return append([]byte{wire.TypeUser}, wire.EncodeBroadcast([]byte("broadcast"))...)
		}, true, true, true},
		{"direct frame", direct, true, true, true},
		{"direct frame to be answered elsewhere", func(netip.AddrPort) []byte { return direct(third) }, false, true, true},
		{"suspicion", func(netip.AddrPort) []byte { return accused.Encode(wire.TypeSuspect) }, false, false, true},
		{"death", func(netip.AddrPort) []byte { return accused.Encode(wire.TypeDead) }, false, false, true},
		{"death of one unknown", func(netip.AddrPort) []byte {
			return wire.Accusation{Incarnation: 1, Node: wire.MemberName(record.NodeID{7}, 1), From: "x"}.Encode(wire.TypeDead)
		}, false, false, false},
		{"accusation of this node", func(netip.AddrPort) []byte {
			return wire.Accusation{Incarnation: 1, Node: g.name, From: "x"}.Encode(wire.TypeDead)
		}, false, true, true},
	} {
		if c.what == "broadcast" {
			c.stranger = false
		}
		for from, want := range map[netip.AddrPort]bool{strange: c.stranger, in.At: c.newcomer, hold: c.holds} {
			if got := g.passed(append(wire.Envelope(wire.ModePlain), c.msg(from)...), from); (len(got) > 0) != want {
				t.Errorf("%s from %v (%v): passed %q, want %v", c.what, from, r.standing(from), got, want)
			}
		}
	}
}

// Of each sender no more is looked at than its budget; strangers have one in
// all.
func TestFloodsAreCutShort(t *testing.T) {
	t.Parallel()
	g := gateOf(t, nil)
	msg := append(wire.Envelope(wire.ModePlain), 77, 1)
	from := netip.AddrPortFrom(nextAddr(), 1)
	const flood = 20_000
	start := time.Now()
	for range flood {
		g.datagram(msg, from)
	}
	most := uint64(strangerBurst + strangerRate*(time.Since(start).Seconds()+1))
	if n := g.refused.Load(); n > most || n+g.limited.Load() != flood {
		t.Errorf("of one stranger %d were looked at, at most %d; %d not", n, most, g.limited.Load())
	}
	g.refused.Store(0)
	start = time.Now()
	for n := range uint32(flood) {
		g.datagram(msg, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 9, byte(n >> 8), byte(n)}), 1))
	}
	most = uint64(strangersBurst + strangersRate*(time.Since(start).Seconds()+1))
	if n := g.refused.Load(); n > most {
		t.Errorf("of all strangers %d were looked at, at most %d", n, most)
	}
	friend := netip.AddrPortFrom(nextAddr(), 1)
	g.members.setHolders(map[record.NodeID]bool{{9}: true}, map[netip.AddrPort]bool{friend: true})
	ping := append(wire.Envelope(wire.ModePlain), wire.Ping{Seq: 7, Node: g.name}.Encode()...)
	if got := g.passed(ping, friend); len(got) != 1 {
		t.Error("a member is not heard amid a flood")
	}
}

// A sealed stream is read in the pieces it was sealed in, with any key of the
// ring and no other. It is no answer to another stream.
// An address has a few identities without a lease. All together have room for
// some hundred, and the one that got no lease for a minute goes first.
func TestNewcomersAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := newMembers(record.NodeID{1}, record.NetworkID{})
	apply := func(n int, at netip.AddrPort, now time.Time) (record.Identity, verdict) {
		key := identityOf(5, byte(n>>8), byte(n))
		m := metaOf(key, 1, 1)
		m.At = at
		return key, r.consider(wire.Member{Node: m.Name(), At: m.At, Meta: m.Encode(key), Vsn: make([]byte, 6)}, m, false, now)
	}
	prove := func(key record.Identity, at netip.AddrPort, now time.Time) bool {
		a := r.proved(wire.Proof{Node: key.ID(), Start: 1, Instance: 1, At: at}, question{at: at, sent: now}, now)
		if a.in.Node != "" {
			r.put(&memberlist.Node{Name: a.in.Node, Addr: a.in.At.Addr().AsSlice(), Port: a.in.At.Port(), Meta: a.in.Meta})
		}
		return a.in.Node != ""
	}
	one := netip.AddrFrom4([4]byte{10, 0, 0, 1})
	for n := range 10 {
		if _, v := apply(n, netip.AddrPortFrom(one, uint16(1+n)), now); (v == asked) != (n < newcomersPerAddr) {
			t.Errorf("number %d of one address: %v", n, v)
		}
	}
	if _, v := apply(11, netip.AddrPortFrom(one, 12), now.Add(time.Minute)); v != asked {
		t.Errorf("a minute later: %v", v)
	}
	for n := range 100 {
		if _, v := apply(100+n, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(1+n)), now); v != asked {
			t.Fatalf("number %d on loopback: %v", n, v)
		}
	}
	in := 0
	for n := range maxNewcomers + 50 {
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)}), 1)
		key, v := apply(1000+n, at, now)
		if v != asked {
			t.Fatalf("number %d: %v", n, v)
		}
		if prove(key, at, now) {
			in++
		}
	}
	if in != maxNewcomers {
		t.Errorf("%d newcomers are in, want %d", in, maxNewcomers)
	}
	late := now.Add(2 * newcomerAge)
	key := identityOf(5, byte((1000+maxNewcomers)>>8), byte((1000+maxNewcomers)&0xff))
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(maxNewcomers >> 8), byte(maxNewcomers & 0xff)}), 1)
	if !prove(key, at, late) || r.size() != maxNewcomers {
		t.Errorf("no room is made for one more after a while; %d are in", r.size())
	}
	key, _ = apply(5000, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 2, 0, 1}), 1), late)
	r.setHolders(map[record.NodeID]bool{key.ID(): true}, nil)
	if !prove(key, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 2, 0, 1}), 1), late) || r.size() != maxNewcomers+1 {
		t.Error("a lease holder has to wait for room")
	}
}

// FuzzGate throws bytes at the gate as a datagram of a member, and as a stream.
// What passes is read back as the same.
func FuzzGate(f *testing.F) {
	key := identityOf(2)
	m := wire.Member{Incarnation: 1, Node: wire.MemberName(key.ID(), 1), At: metaOf(key, 1, 9).At, Meta: metaOf(key, 1, 9).Encode(key), Vsn: []byte{1, 5, 2, 0, 0, 0}}
	ping := wire.Ping{Seq: 1, Node: "a", Source: m.At, By: "b"}.Encode()
	x := wire.Exchange{Join: true, Members: []wire.Member{m, m}, State: []byte("state")}
	for _, b := range [][]byte{
		ping, m.Encode(), compoundOf(ping, m.Encode()),
		wire.IndirectPing{Ping: wire.Ping{Seq: 1, Node: "a"}, Target: m.At, Nack: true}.Encode(),
		wire.Accusation{Incarnation: 1, Node: m.Node, From: "x"}.Encode(wire.TypeSuspect), wire.EncodeAck(wire.TypeAck, 1<<31), wire.EncodeAck(wire.TypeNack, 200),
		append([]byte{wire.TypeUser}, wire.EncodeBroadcast([]byte("broadcast"))...),
		append(x.Encode(5), "state"...), append(wire.EncodeUser(3), "abc"...), wire.EncodeError("why"),
		wire.EncodeQuestion([wire.NonceSize]byte{1}, key.ID()), wire.EncodeProof([wire.NonceSize]byte{1}, metaOf(key, 1, 9), key),
		{wire.TypeCompressed, 0x82}, {0xde, 0xff, 0xff}, {wire.TypePushPull, 0x81, 0xa5, 'N', 'o', 'd', 'e', 's', 0xcf, 1, 2, 3, 4, 5, 6, 7, 8},
	} {
		f.Add(b)
	}
	t := &Transport{sockets: Kernel{}, udp: nowhere{}, packets: make(chan *memberlist.Packet, 1<<16), local: m.At}
	t.ctx, t.cancel = f.Context(), func() {}
	g := &Agent{
		log: slog.New(slog.DiscardHandler), transport: t, identity: identityOf(1), endpoint: m.At,
		notices: newNotices(), limits: newLimits(), questions: newQuestions(&lag{}),
	}
	t.gate = g
	about := metaOf(identityOf(1), 1, 1)
	g.about.Store(&about)
	g.name = about.Name()
	g.members = newMembers(about.Node, record.NetworkID{})
	from := netip.MustParseAddrPort("10.0.0.7:1")
	g.members.setHolders(map[record.NodeID]bool{{9}: true}, map[netip.AddrPort]bool{from: true})
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(g.transport.packets) > 0 {
			<-g.transport.packets
		}
		_ = g.takeDatagram(append(wire.Envelope(wire.ModePlain), b...), from, holder, time.Now())
		// All that one datagram lets through, before that is read again.
		var passed []*memberlist.Packet
		for len(g.transport.packets) > 0 {
			passed = append(passed, <-g.transport.packets)
		}
		for _, p := range passed {
			if len(p.Buf) < 2 {
				t.Fatalf("%q passed", p.Buf)
			}
			if p.Buf[0] == wire.TypeUser {
				continue
			}
			_ = g.message(p.Buf, from, holder, time.Now())
			if len(g.transport.packets) == 0 && p.Buf[0] != wire.TypeAlive && p.Buf[0] != wire.TypeSuspect && p.Buf[0] != wire.TypeDead {
				t.Fatalf("%q passed once and not twice", p.Buf)
			}
			for len(g.transport.packets) > 0 {
				if again := <-g.transport.packets; !bytes.Equal(again.Buf, p.Buf) {
					t.Fatalf("%q became %q", p.Buf, again.Buf)
				}
			}
		}
		for _, dialed := range []bool{false, true} {
			head, tail, err := g.streamMessage(b, dialed, from.Addr())
			if err == nil && len(head) == 0 || err != nil && len(head)+len(tail) > 0 {
				t.Fatalf("%q, %q, %v", head, tail, err)
			}
		}
	})
}

// nowhere is a UDP socket that loses everything.
type nowhere struct{}

func (nowhere) Read([]byte) (int, netip.AddrPort, time.Duration, error) {
	return 0, netip.AddrPort{}, 0, io.EOF
}
func (nowhere) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) { return len(b), nil }
func (nowhere) Close() error                                               { return nil }

// However many strangers apply, lease holders are let in.
func TestLeaseHoldersAreLetInAmongAnyNumberOfApplicants(t *testing.T) {
	t.Parallel()
	r, now := newMembers(record.NodeID{1}, record.NetworkID{}), time.Now()
	apply := func(key record.Identity, at netip.AddrPort) verdict {
		m := metaOf(key, 1, 1)
		m.At = at
		return r.consider(wire.Member{Node: m.Name(), At: at, Meta: m.Encode(key), Vsn: make([]byte, 6)}, m, false, now)
	}
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	for n := range maxApplicants + 1 {
		if v := apply(identityOf(5, byte(n>>8), byte(n)), netip.AddrPortFrom(loopback, uint16(1+n))); (v == asked) != (n < maxApplicants) {
			t.Fatalf("applicant %d: %v", n, v)
		}
	}
	holds := identityOf(6)
	r.setHolders(map[record.NodeID]bool{holds.ID(): true}, nil)
	if v := apply(holds, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), 1)); v != asked {
		t.Errorf("a lease holder: %v", v)
	}
}

// What is kept of members that are gone has an end, in number and in
// time.
func TestRestartsOfOthersLeaveNothing(t *testing.T) {
	t.Parallel()
	r, now := newMembers(record.NodeID{1}, record.NetworkID{}), time.Now()
	const nodes, restarts = 20, 500
	for start := range uint64(restarts) {
		for n := range byte(nodes) {
			key := identityOf(7, n)
			m := startOf(key, 1+start, uint16(n)+1)
			r.consider(wire.Member{Node: m.Name, At: metaOf(key, 1+start, uint16(n)+1).At, Meta: m.Meta, Vsn: make([]byte, 6)}, metaOf(key, 1+start, uint16(n)+1), true, now)
			r.put(m)
			if start > 0 {
				r.reportedDead(wire.MemberName(key.ID(), start), now)
			}
		}
		r.news(now)
	}
	if len(r.members) != nodes || len(r.nodes) != nodes || len(r.at) != nodes || len(r.doubts) != 0 || len(r.addrs) != 1 {
		t.Errorf("%d members of %d nodes at %d endpoints of %d addresses, %d doubts", len(r.members), len(r.nodes), len(r.at), len(r.addrs), len(r.doubts))
	}
	if len(r.gone) > maxGone || len(r.gone) > nodes*goneStarts {
		t.Errorf("%d starts of %d nodes are remembered that are gone", len(r.gone), nodes)
	}
	r.tidy(now.Add(goneFor + time.Hour))
	if len(r.gone) != 0 || len(r.goneOf) != 0 || len(r.admitted) != 0 || len(r.applicants) != 0 {
		t.Errorf("after an hour: %d gone of %d nodes, %d admitted, %d applicants", len(r.gone), len(r.goneOf), len(r.admitted), len(r.applicants))
	}
}
