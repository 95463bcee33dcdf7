package peers

import (
	"bytes"
	"encoding/binary"
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

	"flanneld/peers/internal/record"
)

// phantom is a member that does not exist.
func phantom(n int, network record.NetworkID) memberMessage {
	key := identityOf(99, byte(n>>16), byte(n>>8), byte(n))
	m := metaOf(key, 1, 1)
	m.at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(n >> 8), byte(n)}), uint16(1+n>>16))
	m.network, m.prefix = network, DefaultNetwork
	return memberMessage{incarnation: 1, node: m.name(), at: m.at, meta: m.encode(key), vsn: []byte{1, 5, 2, 0, 0, 0}}
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
	liar := netip.AddrPortFrom(nextHost(), 1)
	g.roster.know(map[record.NodeID]bool{{9}: true}, map[netip.AddrPort]bool{liar: true})
	const phantoms = 50_000
	msgs := make([][]byte, phantoms)
	for n := range msgs {
		msgs[n] = append(envelope(modePlain), phantom(n, record.NetworkID{1}).encode()...)
	}
	var took time.Duration
	grown := peakOf(func() {
		start := time.Now()
		for n, msg := range msgs {
			g.datagram(msg, liar)
			if n%100 == 0 {
				g.attend(time.Now())
			}
		}
		took = time.Since(start)
	})
	t.Logf("%d phantoms: %d applicants, %v, heap %+.1f MB", phantoms, len(g.roster.applicants), took, float64(grown)/1e6)
	if len(g.roster.applicants) > maxApplicants || len(g.roster.members) != 0 || len(g.roster.identities.buckets) > 4*maxApplicants {
		t.Errorf("%d applicants, %d members", len(g.roster.applicants), len(g.roster.members))
	}
	if grown > 32<<20 || took > 5*time.Second {
		t.Errorf("that is too much: %d bytes, %v", grown, took)
	}
}

// ringOf is a key ring with one key.
func ringOf(t *testing.T, n byte) *memberlist.Keyring {
	t.Helper()
	ring, err := memberlist.NewKeyring(nil, bytes.Repeat([]byte{n}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

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
		b := envelope(mode)
		if mode == modeSealed {
			b = append(b, make([]byte, saltSize)...)
		}
		return append(binary.BigEndian.AppendUint32(b, announced), content...)
	}
	members := appendMap([]byte{typePushPull}, 3)
	members = appendNumber(appendText(members, "Nodes"), 1<<20)
	members = appendNumber(appendText(members, "UserStateLen"), 0)
	members = appendBool(appendText(members, "Join"), true)
	for _, c := range []struct {
		what      string
		sealed    bool
		beginning []byte
	}{
		{"20 MB", false, frame(modePlain, 20<<20, encodeUser(20<<20))},
		{"8 MB", false, frame(modePlain, maxStreamBytes, encodeUser(maxStreamBytes))},
		{"a million members", false, frame(modePlain, maxStreamBytes, members)},
		{"a million members in a short frame", false, frame(modePlain, uint32(len(members)), members)},
		{"compressed", false, frame(modePlain, 1000, []byte{typePacked})},
		{"sealed with another key", true, frame(modeSealed, maxStreamBytes, nil)},
		{"plain to a sealed network", true, frame(modePlain, maxStreamBytes, nil)},
		{"sealed to an open network", false, frame(modeSealed, maxStreamBytes, nil)},
	} {
		t.Run(c.what, func(t *testing.T) {
			var ring *memberlist.Keyring
			if c.sealed {
				ring = ringOf(t, 1)
			}
			g := gateOf(t, ring)
			var froms []netip.Addr
			for range 8 {
				froms = append(froms, nextHost())
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

// passed returns the messages that a datagram from an endpoint lets through.
func (g *gossip) passed(b []byte, from netip.AddrPort) [][]byte {
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
	b := []byte{typeCompound, byte(len(parts))}
	for _, p := range parts {
		b = binary.BigEndian.AppendUint16(b, uint16(len(p)))
	}
	return append(b, bytes.Join(parts, nil)...)
}

// Compressed, nested, sealed twice and unknown messages do not pass, whatever
// they are in.
func TestOnlyPlainMessagesPassTheGate(t *testing.T) {
	t.Parallel()
	for _, ring := range []*memberlist.Keyring{nil, ringOf(t, 1)} {
		g := gateOf(t, ring)
		friend := netip.AddrPortFrom(nextHost(), 1)
		g.roster.know(map[record.NodeID]bool{{9}: true}, map[netip.AddrPort]bool{friend: true})
		wrap := func(msg []byte) []byte {
			if ring == nil {
				return append(envelope(modePlain), msg...)
			}
			return sealDatagram(envelope(modeSealed), ring, msg)
		}
		ping := pingMessage{seq: 7, node: g.name}.encode()
		if got := g.passed(wrap(ping), friend); len(got) != 1 || !bytes.Equal(got[0], ping) {
			t.Fatalf("a ping: %q", got)
		}
		if got := g.passed(wrap(compoundOf(ping, ping)), friend); len(got) != 2 {
			t.Errorf("two pings: %q", got)
		}
		packed := append([]byte{typePacked}, "\x82\xa4Algo\x00\xa3Buf\xa1x"...)
		for what, msg := range map[string][]byte{
			"compressed":             packed,
			"compressed in compound": compoundOf(packed),
			"nested compound":        compoundOf(compoundOf(ping)),
			"encrypted":              append([]byte{10, 0, 0, 0, 9}, ping...),
			"checksummed":            append([]byte{typeChecksum, 0, 0, 0, 0}, ping...),
			"push/pull":              append([]byte{typePushPull}, ping[1:]...),
			"unknown":                {77, 1, 2, 3},
			"empty":                  {},
			"one byte":               {typePing},
			"with a tail":            append(bytes.Clone(ping), 0),
			"cut compound":           compoundOf(ping, ping)[:30],
			"compound with a tail":   append(compoundOf(ping), 1),
			"empty part":             compoundOf(nil),
			"ping for nobody":        pingMessage{seq: 7}.encode(),
			"long name":              pingMessage{seq: 7, node: string(make([]byte, maxNameBytes+1))}.encode(),
			"great incarnation":      accusation{maxIncarnation + 1, g.name, "x"}.encode(typeDead),
		} {
			if got := g.passed(wrap(msg), friend); len(got) != 0 {
				t.Errorf("%s: %q", what, got)
			}
		}
		if got := g.passed(make([]byte, maxPacket+1), friend); len(got) != 0 {
			t.Errorf("too long: %q", got)
		}
		if got := g.passed(append(envelope(1-wrap(nil)[envelopeSize-1]), ping...), friend); len(got) != 0 {
			t.Errorf("of the other mode: %q", got)
		}
		if ring != nil {
			b := wrap(ping)
			for i := envelopeSize; i < len(b); i++ {
				forged := bytes.Clone(b)
				forged[i] ^= 1
				if got := g.passed(forged, friend); len(got) != 0 {
					t.Errorf("byte %d was changed: %q", i, got)
				}
			}
			if got := g.passed(sealDatagram(envelope(modeSealed), ringOf(t, 2), ping), friend); len(got) != 0 {
				t.Errorf("sealed with another key: %q", got)
			}
		}
	}
}

// A stranger may not say what a member may, and a newcomer not what a holder may.
func TestGatePassesWhatTheSenderMaySay(t *testing.T) {
	t.Parallel()
	g := gateOf(t, nil)
	key, other := identityOf(2), identityOf(3)
	in := metaOf(key, 1, 1001)
	in.at = netip.AddrPortFrom(nextHost(), 1)
	r := g.roster
	n := startOf(key, 1, 1)
	n.Addr, n.Meta = in.at.Addr().AsSlice(), in.encode(key)
	hold := netip.AddrPortFrom(nextHost(), 1)
	r.know(map[record.NodeID]bool{other.ID(): true}, map[netip.AddrPort]bool{hold: true})
	r.put(n)
	strange := netip.AddrPortFrom(nextHost(), 1)
	third := netip.AddrPortFrom(nextHost(), 1)
	direct := func(at netip.AddrPort) []byte {
		return append([]byte{typeUser}, encodeDirect(other.ID(), at, []byte("message"), 0)...)
	}
	accused := accusation{1, in.name(), "x"}
	for _, c := range []struct {
		what                      string
		msg                       func(from netip.AddrPort) []byte
		stranger, newcomer, holds bool
	}{
		{"ping", func(netip.AddrPort) []byte { return pingMessage{seq: 1, node: g.name}.encode() }, true, true, true},
		{"ping to be answered elsewhere", func(netip.AddrPort) []byte { return pingMessage{seq: 1, node: g.name, source: third}.encode() }, false, false, false},
		{"ping to be answered to a member", func(netip.AddrPort) []byte { return pingMessage{seq: 1, node: g.name, source: in.at}.encode() }, true, true, true},
		{"ack", func(netip.AddrPort) []byte { return encodeAck(typeAck, 1) }, false, true, true},
		{"nack", func(netip.AddrPort) []byte { return encodeAck(typeNack, 1) }, false, true, true},
		{"indirect ping", func(netip.AddrPort) []byte {
			return indirectMessage{pingMessage{seq: 1, node: in.name()}, in.at, true}.encode()
		}, false, true, true},
		{"indirect ping of a third party", func(netip.AddrPort) []byte {
			return indirectMessage{pingMessage{seq: 1, node: in.name()}, third, true}.encode()
		}, false, false, false},
		{"rumour", func(netip.AddrPort) []byte { return append([]byte{typeUser}, encodeRumour([]byte("rumour"))...) }, true, true, true},
		{"direct frame", direct, true, true, true},
		{"direct frame to be answered elsewhere", func(netip.AddrPort) []byte { return direct(third) }, false, true, true},
		{"suspicion", func(netip.AddrPort) []byte { return accused.encode(typeSuspect) }, false, false, true},
		{"death", func(netip.AddrPort) []byte { return accused.encode(typeDead) }, false, false, true},
		{"death of one unknown", func(netip.AddrPort) []byte {
			return accusation{1, memberName(record.NodeID{7}, 1), "x"}.encode(typeDead)
		}, false, false, false},
		{"accusation of this node", func(netip.AddrPort) []byte { return accusation{1, g.name, "x"}.encode(typeDead) }, false, true, true},
	} {
		if c.what == "rumour" {
			c.stranger = false
		}
		for from, want := range map[netip.AddrPort]bool{strange: c.stranger, in.at: c.newcomer, hold: c.holds} {
			if got := g.passed(append(envelope(modePlain), c.msg(from)...), from); (len(got) > 0) != want {
				t.Errorf("%s from %v (%v): passed %q, want %v", c.what, from, r.standing(from), got, want)
			}
		}
	}
}

// Of each sender no more is looked at than its budget; strangers have one in all.
func TestFloodsAreCutShort(t *testing.T) {
	t.Parallel()
	g := gateOf(t, nil)
	msg := append(envelope(modePlain), 77, 1)
	from := netip.AddrPortFrom(nextHost(), 1)
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
	friend := netip.AddrPortFrom(nextHost(), 1)
	g.roster.know(map[record.NodeID]bool{{9}: true}, map[netip.AddrPort]bool{friend: true})
	ping := append(envelope(modePlain), pingMessage{seq: 7, node: g.name}.encode()...)
	if got := g.passed(ping, friend); len(got) != 1 {
		t.Error("a member is not heard amid a flood")
	}
}

// A sealed stream is read in the pieces it was sealed in, with any key of the
// ring and no other. It is no answer to another stream.
func TestSealedStreams(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("content "), 10_000)
	ring, salt, bound := ringOf(t, 1), newSalt(), newSalt()
	both, err := memberlist.NewKeyring([][]byte{bytes.Repeat([]byte{1}, 32)}, bytes.Repeat([]byte{2}, 32))
	if err != nil {
		t.Fatal(err)
	}
	sealer := pieceSealer{aead: cipherOf(ring.GetPrimaryKey(), contextAnswer, salt, bound)}
	sealed := sealer.seal(nil, content)
	open := func(o *pieceOpener, b []byte) ([]byte, error) {
		var plain []byte
		for len(plain) < len(content) {
			n := min(pieceSize, len(content)-len(plain)) + tagSize
			var err error
			if plain, err = o.open(plain, b[:n], uint32(len(content))); err != nil {
				return nil, err
			}
			b = b[n:]
		}
		return plain, nil
	}
	for _, r := range []*memberlist.Keyring{ring, both} {
		if got, err := open(newPieceOpener(r, contextAnswer, salt, bound), sealed); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	for what, o := range map[string]*pieceOpener{
		"another key":      newPieceOpener(ringOf(t, 3), contextAnswer, salt, bound),
		"another salt":     newPieceOpener(ring, contextAnswer, newSalt(), bound),
		"another question": newPieceOpener(ring, contextAnswer, salt, newSalt()),
		"its own question": newPieceOpener(ring, contextCaller, salt, nil),
	} {
		if _, err := open(o, sealed); err == nil {
			t.Errorf("opened with %s", what)
		}
	}
	swapped := append(bytes.Clone(sealed[pieceSize+tagSize:2*(pieceSize+tagSize)]), sealed[:pieceSize+tagSize]...)
	if _, err := open(newPieceOpener(ring, contextAnswer, salt, bound), append(swapped, sealed[2*(pieceSize+tagSize):]...)); err == nil {
		t.Error("pieces may be swapped")
	}
}

// An address has a few identities without a lease. All together have room for
// some hundred, and the one that got no lease for a minute goes first.
func TestNewcomersAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := newRoster(record.NodeID{1}, suspectFor)
	apply := func(n int, at netip.AddrPort, now time.Time) (record.Identity, verdict) {
		key := identityOf(5, byte(n>>8), byte(n))
		m := metaOf(key, 1, 1)
		m.at = at
		return key, r.consider(memberMessage{node: m.name(), at: m.at, meta: m.encode(key), vsn: make([]byte, maxVsn)}, m, false, now)
	}
	prove := func(key record.Identity, at netip.AddrPort, now time.Time) bool {
		a := r.proved(proof{node: key.ID(), start: 1, instance: 1, at: at}, record.NetworkID{}, now)
		if a.in.node != "" {
			r.put(&memberlist.Node{Name: a.in.node, Addr: a.in.at.Addr().AsSlice(), Port: a.in.at.Port(), Meta: a.in.meta})
		}
		return a.in.node != ""
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
	r.know(map[record.NodeID]bool{key.ID(): true}, nil)
	if !prove(key, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 2, 0, 1}), 1), late) || r.size() != maxNewcomers+1 {
		t.Error("a lease holder has to wait for room")
	}
}

func TestVersionsThatBothSpeak(t *testing.T) {
	for _, c := range []struct {
		one, two versions
		want     uint8
		ok       bool
	}{
		{versions{2, 2}, versions{2, 2}, 2, true},
		{versions{2, 2}, versions{2, 3}, 2, true},
		{versions{2, 5}, versions{3, 4}, 4, true},
		{versions{2, 2}, versions{3, 3}, 0, false},
	} {
		for _, p := range [][2]versions{{c.one, c.two}, {c.two, c.one}} {
			if got, ok := p[0].common(p[1]); ok != c.ok || ok && got != c.want {
				t.Errorf("%v and %v: %d, %v", p[0], p[1], got, ok)
			}
		}
	}
}

// FuzzGate throws bytes at the gate as a datagram of a member, and as a stream.
// What passes is read back as the same.
func FuzzGate(f *testing.F) {
	key := identityOf(2)
	m := memberMessage{incarnation: 1, node: memberName(key.ID(), 1), at: metaOf(key, 1, 9).at, meta: metaOf(key, 1, 9).encode(key), vsn: []byte{1, 5, 2, 0, 0, 0}}
	ping := pingMessage{seq: 1, node: "a", source: m.at, by: "b"}.encode()
	x := exchange{join: true, members: []memberMessage{m, m}, state: []byte("state")}
	for _, b := range [][]byte{
		ping, m.encode(), compoundOf(ping, m.encode()),
		indirectMessage{pingMessage{seq: 1, node: "a"}, m.at, true}.encode(),
		accusation{1, m.node, "x"}.encode(typeSuspect), encodeAck(typeAck, 1<<31), encodeAck(typeNack, 200),
		append([]byte{typeUser}, encodeRumour([]byte("rumour"))...),
		append(x.encode(5), "state"...), append(encodeUser(3), "abc"...), encodeError("why"),
		encodeQuestion([nonceSize]byte{1}, key.ID()), encodeProof([nonceSize]byte{1}, metaOf(key, 1, 9), key),
		{typePacked, 0x82}, {0xde, 0xff, 0xff}, {typePushPull, 0x81, 0xa5, 'N', 'o', 'd', 'e', 's', 0xcf, 1, 2, 3, 4, 5, 6, 7, 8},
	} {
		f.Add(b)
	}
	t := &transport{sockets: kernel{}, udp: nowhere{}, packets: make(chan *memberlist.Packet, 1<<16), local: m.at}
	t.ctx, t.cancel = f.Context(), func() {}
	g := &gossip{
		log: slog.New(slog.DiscardHandler), transport: t, identity: identityOf(1), endpoint: m.at,
		notices: newNotices(), limits: newLimits(), questions: newQuestions(),
	}
	t.gate = g
	about := metaOf(identityOf(1), 1, 1)
	g.about.Store(&about)
	g.name = about.name()
	g.roster = newRoster(about.node, suspectFor)
	from := netip.MustParseAddrPort("10.0.0.7:1")
	g.roster.know(map[record.NodeID]bool{{9}: true}, map[netip.AddrPort]bool{from: true})
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(g.transport.packets) > 0 {
			<-g.transport.packets
		}
		_ = g.takeDatagram(append(envelope(modePlain), b...), from, holder, time.Now())
		// All that one datagram lets through, before any of it is read again.
		var passed []*memberlist.Packet
		for len(g.transport.packets) > 0 {
			passed = append(passed, <-g.transport.packets)
		}
		for _, p := range passed {
			if len(p.Buf) < 2 {
				t.Fatalf("%q passed", p.Buf)
			}
			if p.Buf[0] == typeUser {
				continue
			}
			_ = g.message(p.Buf, from, holder, time.Now())
			if len(g.transport.packets) == 0 && p.Buf[0] != typeAlive && p.Buf[0] != typeSuspect && p.Buf[0] != typeDead {
				t.Fatalf("%q passed once and not twice", p.Buf)
			}
			for len(g.transport.packets) > 0 {
				if again := <-g.transport.packets; !bytes.Equal(again.Buf, p.Buf) {
					t.Fatalf("%q became %q", p.Buf, again.Buf)
				}
			}
		}
		for _, dialled := range []bool{false, true} {
			head, tail, err := g.streamMessage(b, dialled, from.Addr())
			if err == nil && len(head) == 0 || err != nil && len(head)+len(tail) > 0 {
				t.Fatalf("%q, %q, %v", head, tail, err)
			}
		}
	})
}

// nowhere is a UDP socket that loses everything.
type nowhere struct{}

func (nowhere) ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error) {
	return 0, netip.AddrPort{}, io.EOF
}
func (nowhere) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) { return len(b), nil }
func (nowhere) Close() error                                               { return nil }

// However many strangers apply, lease holders are let in.
func TestLeaseHoldersAreLetInAmongAnyNumberOfApplicants(t *testing.T) {
	t.Parallel()
	r, now := newRoster(record.NodeID{1}, suspectFor), time.Now()
	apply := func(key record.Identity, at netip.AddrPort) verdict {
		m := metaOf(key, 1, 1)
		m.at = at
		return r.consider(memberMessage{node: m.name(), at: at, meta: m.encode(key), vsn: make([]byte, maxVsn)}, m, false, now)
	}
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	for n := range maxApplicants + 1 {
		if v := apply(identityOf(5, byte(n>>8), byte(n)), netip.AddrPortFrom(loopback, uint16(1+n))); (v == asked) != (n < maxApplicants) {
			t.Fatalf("applicant %d: %v", n, v)
		}
	}
	holds := identityOf(6)
	r.know(map[record.NodeID]bool{holds.ID(): true}, nil)
	if v := apply(holds, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), 1)); v != asked {
		t.Errorf("a lease holder: %v", v)
	}
}

// What a roster keeps of members that are gone has an end, in number and in time.
func TestRestartsOfOthersLeaveNothing(t *testing.T) {
	t.Parallel()
	r, now := newRoster(record.NodeID{1}, suspectFor), time.Now()
	const nodes, restarts = 20, 500
	for start := range uint64(restarts) {
		for n := range byte(nodes) {
			key := identityOf(7, n)
			m := startOf(key, 1+start, uint16(n)+1)
			r.consider(memberMessage{node: m.Name, at: metaOf(key, 1+start, uint16(n)+1).at, meta: m.Meta, vsn: make([]byte, maxVsn)}, metaOf(key, 1+start, uint16(n)+1), true, now)
			r.put(m)
			if start > 0 {
				r.giveUp(memberName(key.ID(), start), now)
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
	if len(r.gone) != 0 || len(r.goneOf) != 0 || len(r.admitted) > nodes || len(r.applicants) != 0 {
		t.Errorf("after an hour: %d gone of %d nodes, %d admitted, %d applicants", len(r.gone), len(r.goneOf), len(r.admitted), len(r.applicants))
	}
}
