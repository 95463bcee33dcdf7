// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"bytes"
	"testing"
	"time"
)

func TestPacketsThatWaitedArriveAfterTheHandshake(t *testing.T) {
	for _, suite := range []Suite{AESGCM, ChaChaPoly} {
		t.Run(suite.String(), func(t *testing.T) {
			w := newWorld(t, 1)
			a, b := w.add(func(c *Config) { c.Suites = []Suite{suite} }), w.add(nil)
			w.meet(a, b)
			a.send(b, 0, "one")
			a.send(b, 1, "two")
			w.settle()
			b.wants("1:one", "1:two")
			b.send(a, 3, "back")
			w.settle()
			a.wants("2:back")
			if st := b.Status(w.now)[0]; st.Suite != suite || st.Handshakes != 1 || !st.Established.Equal(w.now) {
				t.Errorf("status is %+v", st)
			}
		})
	}
}

// TestResponderSendsNothingBeforeTheFirstDatagram: message 1 can be a replay.
func TestResponderSendsNothingBeforeTheFirstDatagram(t *testing.T) {
	w, a, b := pair(t)
	a.send(b, 0, "one")
	w.tick()
	b.receive(w.flight[0])
	if b.peers[a].next == nil || b.peers[a].Sending(0, w.now) != nil {
		t.Fatal("the responder could send before it heard the initiator")
	}
	w.settle()
	b.wants("1:one")
	if b.peers[a].Sending(0, w.now) == nil {
		t.Error("the responder cannot send")
	}
}

func TestKeepaliveConfirmsWherePacketsDoNot(t *testing.T) {
	w, a, b := pair(t)
	a.SetPeer(w.now, b.info(false))
	a.peers[b].ask() // without a packet
	w.settle()
	b.send(a, 0, "one")
	w.settle()
	a.wants("2:one")
	if b.counter != 0 {
		t.Error("the responder had to begin a handshake of its own")
	}
}

func TestLowerIDWinsWhereBothBegin(t *testing.T) {
	w, a, b := pair(t)
	a.send(b, 0, "from a")
	b.send(a, 0, "from b")
	w.tick() // both begin
	if len(w.flight) != 2 {
		t.Fatalf("%d datagrams in flight, want 2 initiations", len(w.flight))
	}
	w.settle()
	a.wants("2:from b")
	b.wants("1:from a")
	if a.why[Crossed] != 1 || !a.peers[b].current.Load().initiator || b.peers[a].current.Load().initiator {
		t.Errorf("the session is not the one of the lower ID: %v", a.why)
	}
	if a.counter != 1 || b.counter != 1 {
		t.Errorf("%d and %d initiations, want one each", a.counter, b.counter)
	}
}

func TestRepeatedInitiationIsRefused(t *testing.T) {
	w, a, b := pair(t)
	a.send(b, 0, "one")
	w.tick()
	first := w.flight[0]
	w.settle()
	if got := b.receive(first); got != Stale || len(w.flight) != 0 {
		t.Errorf("a replay gave %v and %d answers", got, len(w.flight))
	}
	b.got = nil
	a.send(b, 0, "two")
	w.settle()
	b.wants("1:two")
}

// TestInitiationOfAnEarlierStartIsRefused, until the node raises its start
// number.
func TestInitiationOfAnEarlierStartIsRefused(t *testing.T) {
	w, a, b := pair(t)
	a.SetStart(5)
	w.connect(a, b)
	w.restart(a) // with an older copy of the state directory
	a.start = 4
	a.send(b, 0, "one")
	w.settle()
	if b.why[Stale] != 1 {
		t.Errorf("got %v", b.why)
	}
	a.SetStart(6)
	w.pass(time.Second)
	b.wants("1:one")
}

func TestStrangersAreRefusedBeforeAnyDiffieHellman(t *testing.T) {
	w := newWorld(t, 1)
	a := w.add(nil)
	wrongKey := w.add(func(c *Config) { c.Cluster = bytes.Repeat([]byte{0xB2}, 32) })
	wrongNetwork := w.add(func(c *Config) { c.Network[0]++ })
	stranger := w.add(nil)
	for _, h := range []*host{wrongKey, wrongNetwork} {
		w.meet(h, a)
	}
	stranger.peers[a] = stranger.SetPeer(w.now, a.info(false))
	for _, c := range []struct {
		from *host
		want Reason
	}{{wrongKey, WrongClusterKey}, {wrongNetwork, WrongClusterKey}, {stranger, UnknownNode}} {
		c.from.send(a, 0, "in")
		w.tick()
		if got := a.receive(w.flight[0]); got != c.want || len(w.flight) != 1 {
			t.Errorf("got %v and %d answers, want %v and none", got, len(w.flight)-1, c.want)
		}
		w.flight = nil
	}
	if a.limiter.total.level != 0 || a.limiter.sources != nil {
		t.Error("a stranger used up the budget of members")
	}
}

// TestKeyOfAnotherNodeIsRefused: a member has the cluster key and its own
// static key. It poses as another node.
func TestKeyOfAnotherNodeIsRefused(t *testing.T) {
	w := newWorld(t, 1)
	a, b, c := w.add(nil), w.add(nil), w.add(nil)
	w.meet(a, b)
	w.meet(a, c)
	poser := w.add(func(cfg *Config) { cfg.Self = c.self })
	poser.peers[a] = poser.SetPeer(w.now, a.info(false))
	poser.send(a, 0, "in")
	w.tick()
	if got := a.receive(w.flight[0]); got != WrongKey || len(w.flight) != 1 {
		t.Errorf("got %v", got)
	}
	// It cannot make the true node stale either.
	w.flight = nil
	c.send(a, 0, "true")
	w.settle()
	a.wants("3:true")
}

// TestEveryFlippedBitOfAHandshakeIsRefused, and the handshake goes on.
func TestEveryFlippedBitOfAHandshakeIsRefused(t *testing.T) {
	w, a, b := pair(t)
	a.send(b, 0, "one")
	w.tick()
	one := w.flight[0]
	flipAll(t, b, one, len(one.bytes)-macSize) // the second code is not read without load
	w.flight = w.flight[:1]
	w.flight = nil
	b.receive(one)
	two := w.flight[0]
	w.flight = nil
	flipAll(t, a, two, len(two.bytes)-macSize)
	a.receive(two)
	w.settle()
	b.wants("1:one")
}

func flipAll(t *testing.T, to *host, d datagram, length int) {
	t.Helper()
	for bit := range 8 * length {
		b := bytes.Clone(d.bytes)
		b[bit/8] ^= 1 << (bit % 8)
		if got := to.receive(datagram{d.from, to, b}); got == OK {
			t.Fatalf("bit %d of type %#x can be flipped", bit, d.bytes[0])
		}
	}
	for cut := range d.bytes {
		if got := to.receive(datagram{d.from, to, d.bytes[:cut]}); got == OK {
			t.Fatalf("type %#x can be cut to %d bytes", d.bytes[0], cut)
		}
	}
}

// TestAnswersAreShorterThanQuestions also holds that data is never answered.
func TestAnswersAreShorterThanQuestions(t *testing.T) {
	if !(cookieReplySize < responseSize && responseSize < initiationSize) {
		t.Errorf("message 1 has %d bytes, message 2 %d, a cookie reply %d", initiationSize, responseSize, cookieReplySize)
	}
	w, a, b := pair(t)
	a.send(b, 0, "one")
	w.tick()
	if n := len(w.flight[0].bytes); n != initiationSize {
		t.Errorf("message 1 has %d bytes", n)
	}
	b.receive(w.flight[0])
	if n := len(w.flight[1].bytes); n != responseSize || len(w.flight) != 2 {
		t.Errorf("message 2 has %d bytes", n)
	}
}

func TestUnderLoadACookieIsDemanded(t *testing.T) {
	w, a, b := pair(t)
	for range totalRate {
		b.limiter.underLoad(w.now)
	}
	a.send(b, 0, "one")
	w.tick()
	one := w.flight[0]
	w.flight = nil
	if got := b.receive(one); got != Busy || len(w.flight) != 1 || len(w.flight[0].bytes) != cookieReplySize {
		t.Fatalf("got %v and %v", got, w.flight)
	}
	if a.receive(w.flight[0]) != OK {
		t.Fatal("the cookie was not taken")
	}
	w.flight = nil
	for range totalRate {
		b.limiter.underLoad(w.now)
	}
	w.now = a.Next()
	w.tick()
	again := w.flight[0]
	b.limiter.total.level, b.limiter.total.at = 0, w.now
	if got := b.receive(datagram{w.add(nil), b, again.bytes}); got != Busy {
		t.Errorf("a cookie of another address gave %v", got)
	}
	w.flight = nil
	b.limiter.total.level, b.limiter.total.at = 0, w.now
	if got := b.receive(again); got != OK {
		t.Fatalf("with a cookie: %v", got)
	}
	w.settle()
	b.wants("1:one")
}

func TestSourceIsLimitedTo20HandshakesASecond(t *testing.T) {
	w, a, b := pair(t)
	answered := 0
	for range 100 {
		a.peers[b].attempts = 1
		message, err := a.initiate(w.now, a.peers[b])
		if err != nil {
			t.Fatal(err)
		}
		if b.receive(datagram{a, b, message}) == OK {
			answered++
		}
		a.dropHandshake(a.peers[b])
	}
	if answered != sourceRate || b.why[RateLimited] != 100-sourceRate {
		t.Errorf("%d answers, %v", answered, b.why)
	}
	if b.index.Load().used != 1 {
		t.Errorf("%d sessions for one peer", b.index.Load().used)
	}
}

func TestLostMessagesAreSentAgain(t *testing.T) {
	w, a, b := pair(t)
	a.send(b, 0, "one")
	for lost := range 5 {
		w.tick()
		if len(w.flight) != 1 {
			t.Fatalf("attempt %d: %d datagrams", lost, len(w.flight))
		}
		w.flight = nil
		pause := a.Next().Sub(w.now)
		if pause > lastRetry*11/10 || pause < firstRetry*9/10 {
			t.Errorf("pause %d is %v", lost, pause)
		}
		w.now = a.Next()
	}
	w.settle()
	b.wants("1:one")
}

func TestAttemptsEndAndBeginAgain(t *testing.T) {
	w, a, b := pair(t)
	a.send(b, 0, "one")
	began := w.now
	for !a.Next().IsZero() {
		w.now = a.Next()
		w.tick()
		w.flight = nil
	}
	if took := w.now.Sub(began); took < giveUpAfter || took > giveUpAfter+lastRetry*11/10 {
		t.Errorf("gave up after %v", took)
	}
	if st := a.Status(w.now)[0]; st.Failed != 1 || st.Dropped != 1 || st.Held != 0 || st.Handshaking {
		t.Errorf("status is %+v", st)
	}
	a.send(b, 0, "two")
	w.settle()
	b.wants("1:two")
}

func TestForgottenPeerAndNewKeyEndSessionsAtOnce(t *testing.T) {
	w, a, b := pair(t)
	w.connect(a, b)
	for name, end := range map[string]func(){
		"forgotten": func() { b.RemovePeer(a.self) },
		"new key": func() {
			info := a.info(false)
			info.Key[0]++
			b.SetPeer(w.now, info)
		},
	} {
		old := b.peers[a]
		s := old.current.Load()
		a.send(b, 0, "late")
		end()
		if got := b.receive(w.flight[0]); got != UnknownSession {
			t.Errorf("%s: got %v", name, got)
		}
		w.flight = nil
		if old.Sending(0, w.now) != nil || s.send != [keySize]byte{} || s.open != [keySize]byte{} || b.index.Load().used != 0 {
			t.Errorf("%s: something is left of the session", name)
		}
		if old.Hold([]byte("x")) != 1 || len(b.timers) != 0 || !b.inbox.empty() {
			t.Errorf("%s: the peer still asks", name)
		}
		b.peers[a] = b.SetPeer(w.now, a.info(false))
		w.now = w.now.Add(time.Minute)
		a.peers[b].current.Load().worn.Store(true)
		a.send(b, 0, "again")
		w.pass(time.Second)
		b.send(a, 0, "back")
		w.pass(time.Second)
		if len(a.got) == 0 {
			t.Fatalf("%s: no way back", name)
		}
		a.got = nil
	}
}

func TestRestartedPeerIsFoundByItsRecord(t *testing.T) {
	w, a, b := pair(t)
	w.connect(a, b)
	w.restart(b)
	a.SetPeer(w.now, b.info(false))
	a.send(b, 0, "one")
	w.settle()
	b.wants("1:one")
}

// TestRestartedPeerIsFoundBySilence: its new record has not come.
func TestRestartedPeerIsFoundBySilence(t *testing.T) {
	w, a, b := pair(t)
	w.connect(a, b)
	w.restart(b)
	began := w.now
	for len(b.got) == 0 && w.now.Sub(began) < time.Minute {
		a.send(b, 0, "one")
		w.pass(time.Second)
	}
	if took := w.now.Sub(began); took > 20*time.Second {
		t.Errorf("found after %v", took)
	}
}

func TestRestartedPeerCanBegin(t *testing.T) {
	w, a, b := pair(t)
	w.connect(a, b)
	w.restart(b)
	b.send(a, 0, "one")
	w.settle()
	a.wants("2:one")
	a.send(b, 0, "two")
	w.settle()
	b.wants("1:two")
	info := b.info(false)
	a.SetPeer(w.now, info) // the record comes later than the handshake
	a.send(b, 0, "three")
	w.settle()
	b.wants("1:three")
	if a.peers[b].counts.handshakes != 2 {
		t.Errorf("%d handshakes", a.peers[b].counts.handshakes)
	}
}

// TestClusterKeyChangesWithoutALoss as an operator changes it: both keys
// everywhere, then the new one first, then the new one alone.
func TestClusterKeyChangesWithoutALoss(t *testing.T) {
	w, a, b := pair(t)
	w.connect(a, b)
	clusterB := bytes.Repeat([]byte{0xB2}, 32)
	steps := []func() error{
		func() error { return a.SetCluster(clusterA, clusterB) },
		func() error { return b.SetCluster(clusterB, clusterA) },
		func() error { return a.SetCluster(clusterB) },
		func() error { return b.SetCluster(clusterB) },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			a.send(b, 0, "x")
			b.send(a, 0, "y")
			w.pass(10 * time.Second)
		}
		a.wants("2:y", "2:y", "2:y")
		b.wants("1:x", "1:x", "1:x")
		if i == len(steps)-1 && (a.peers[b].current.Load().cluster != a.keys[0] || b.peers[a].current.Load().cluster != b.keys[0]) {
			t.Error("the old key still vouches for the session")
		}
	}
	c := w.add(nil)
	w.meet(c, a)
	c.send(a, 0, "old")
	w.settle()
	if a.why[WrongClusterKey] == 0 {
		t.Error("the old key is still good")
	}
}

func TestEagerPeersMeetWithoutTraffic(t *testing.T) {
	w := newWorld(t, 1)
	const many = 12
	for range many {
		w.add(nil)
	}
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			if a != b {
				a.peers[b] = a.SetPeer(w.now, b.info(true))
			}
		}
	}
	w.pass(5 * time.Second)
	for _, a := range w.nodes {
		for b, p := range a.peers {
			if p.Sending(0, w.now) == nil {
				t.Errorf("%d cannot send to %d", a.self[1], b.self[1])
			}
		}
		if a.why[Crossed] > 0 || a.counter > many {
			t.Errorf("node %d: %d initiations, %v", a.self[1], a.counter, a.why)
		}
	}
}

func TestCloseLeavesNoKey(t *testing.T) {
	w, a, b := pair(t)
	w.connect(a, b)
	s := a.peers[b].current.Load()
	key := a.keys[0]
	a.Close()
	if a.private != (PrivateKey{}) || s.send != [keySize]byte{} || key.psk != [keySize]byte{} || key.own.mac != [keySize]byte{} {
		t.Error("keys are left")
	}
	if a.peers[b].Sending(0, w.now) != nil || !a.Next().IsZero() {
		t.Error("the node goes on")
	}
	a.Tick(w.now, a.emit)
	if got := a.Handle(w.now, b.at, make([]byte, initiationSize), a.emit); got != Malformed {
		t.Errorf("got %v", got)
	}
}
