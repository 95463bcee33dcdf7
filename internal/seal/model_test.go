// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flynn/noise"
)

// The model is two nodes as they are, and an attacker between them. It searches
// the interleavings of what they do from the fewest events on: both begin,
// timers fire, sessions grow old, one node is restarted, and the attacker
// delivers messages in any order, loses some and repeats some. In each state:
//
//   - two sessions of a node have different keys, and no session has the same
//     key in both directions
//   - both ends of a session in use have the same keys and opposite roles
//   - what a node sends, the other node can open, unless it was restarted
//   - a datagram is accepted unless it was accepted before, or took modelDelay
//   - once the attacker ends, packets arrive both ways within half a minute
//
// States are equal if they have the same sessions in the same places, the same
// messages in flight, and the same timers, to the second.

// modelStates is how many states the test looks at. make seal-model sets
// another number in the environment.
const modelStates = 150

// modelDelay is less than the time between the last rekey and the end of a
// session.
const modelDelay = 20 * time.Second

// event is one thing that happens in the model.
type event struct {
	kind string
	node int // or the number of the datagram in flight
}

// model is the world after a sequence of events.
type model struct {
	*world
	rt        *testing.T
	lost      int
	repeated  int
	grown     int // sessions that grew old by themselves
	restarted bool
	began     [2]bool
	accepted  map[string]bool // datagrams
	sent      map[string]time.Time
}

func newModel(t *testing.T) *model {
	w, _, _ := pair(t)
	return &model{world: w, rt: t, accepted: map[string]bool{}, sent: map[string]time.Time{}}
}

// events are what can happen next.
func (m *model) events() (all []event) {
	for i := range m.nodes {
		if !m.began[i] {
			all = append(all, event{"send", i})
		}
		if next := m.nodes[i].Next(); !next.IsZero() {
			all = append(all, event{"timer", i})
		}
		if m.grown < 2 && m.mayGrowOld(i) {
			all = append(all, event{"old", i})
		}
	}
	for i := range m.flight {
		all = append(all, event{"deliver", i})
		if m.lost < 2 {
			all = append(all, event{"lose", i})
		}
		if m.repeated < 2 {
			all = append(all, event{"repeat", i})
		}
	}
	if !m.restarted {
		all = append(all, event{"restart", 1})
	}
	return all
}

// mayGrowOld reports whether a node has a session that can be old: the other
// node has heard of it.
func (m *model) mayGrowOld(i int) bool {
	s := m.nodes[i].peers[m.nodes[1-i]].current.Load()
	if s == nil {
		return false
	}
	twin := m.nodes[1-i].index.Load().find(s.remote)
	return twin != nil && twin.confirmed.Load()
}

// apply lets an event happen, and what a lane's call for the slow path causes.
func (m *model) apply(e event) {
	switch e.kind {
	case "send":
		m.began[e.node] = true
		m.nodes[e.node].send(m.nodes[1-e.node], 0, "x")
	case "timer":
		h := m.nodes[e.node]
		if next := h.Next(); next.After(m.now) {
			m.now = next
		}
		h.Tick(m.now, h.emit)
	case "old":
		m.grown++
		h := m.nodes[e.node]
		h.peers[m.nodes[1-e.node]].current.Load().worn.Store(true)
		h.send(m.nodes[1-e.node], 0, "x")
	case "restart":
		m.restarted = true
		m.restart(m.nodes[e.node])
	case "lose":
		m.lost++
		m.flight = slices.Delete(m.flight, e.node, e.node+1)
	case "deliver", "repeat":
		d := m.flight[e.node]
		if e.kind == "deliver" {
			m.flight = slices.Delete(m.flight, e.node, e.node+1)
		} else {
			m.repeated++
		}
		m.deliver(d)
	}
	for _, h := range m.nodes {
		if !h.inbox.empty() {
			h.Tick(m.now, h.emit)
		}
	}
	for _, d := range m.flight {
		if _, known := m.sent[string(d.bytes)]; !known {
			m.sent[string(d.bytes)] = m.now
		}
	}
}

func (m *model) deliver(d datagram) {
	reason := d.to.receive(d)
	if !IsData(d.bytes) {
		return
	}
	before := m.accepted[string(d.bytes)]
	switch {
	case reason == OK && before:
		m.rt.Errorf("a datagram is accepted twice")
	case reason != OK && !before && !m.restarted && m.now.Sub(m.sent[string(d.bytes)]) < modelDelay:
		m.rt.Errorf("a datagram of node %d is refused: %v", d.from.self[1], reason)
	}
	m.accepted[string(d.bytes)] = m.accepted[string(d.bytes)] || reason == OK
}

// sessions are those of a node, by place.
func (h *host) sessions() map[string]*session {
	all := map[string]*session{}
	for _, p := range h.peers {
		for place, s := range map[string]*session{"previous": p.previous, "current": p.current.Load(), "next": p.next} {
			if s != nil {
				all[place] = s
			}
		}
	}
	return all
}

// check holds what has to be true in each state.
func (m *model) check() {
	keys := map[[keySize]byte]bool{}
	for i, h := range m.nodes {
		other := m.nodes[1-i]
		for place, s := range h.sessions() {
			if keys[s.send] || s.send == s.open {
				m.rt.Errorf("the %s session of node %d has a key of another one", place, i+1)
			}
			keys[s.send] = true
			twin := other.index.Load().find(s.remote)
			if place == "current" && !m.restarted && !s.expired(m.now) && twin == nil {
				m.rt.Errorf("node %d sends what node %d cannot open", i+1, 2-i)
			}
			if twin != nil && s.confirmed.Load() && (twin.send != s.open || twin.open != s.send || twin.suite != s.suite || twin.initiator == s.initiator) {
				m.rt.Errorf("the ends of the %s session of node %d differ", place, i+1)
			}
		}
	}
}

// heal ends the attack. Packets must arrive both ways.
func (m *model) heal() {
	a, b := m.nodes[0], m.nodes[1]
	m.meet(a, b)
	for range 6 {
		a.send(b, 0, "to b")
		b.send(a, 0, "to a")
		m.pass(5 * time.Second)
	}
	a.got, b.got = nil, nil
	a.send(b, 0, "to b")
	b.send(a, 0, "to a")
	m.settle()
	a.wants("2:to a")
	b.wants("1:to b")
}

// state describes a state. Keys and indexes get numbers in the order in which
// they are met.
func (m *model) state() string {
	var b strings.Builder
	names := map[[keySize]byte]int{}
	name := func(s *session) int {
		key := s.send
		if bytes.Compare(s.open[:], key[:]) < 0 {
			key = s.open
		}
		if _, ok := names[key]; !ok {
			names[key] = len(names)
		}
		return names[key]
	}
	until := func(at time.Time) int { return int(at.Sub(m.now) / time.Second) }
	fmt.Fprint(&b, m.lost, m.repeated, m.grown, m.restarted, m.began)
	for _, h := range m.nodes {
		all := h.sessions()
		for _, place := range []string{"current", "previous", "next"} {
			if s := all[place]; s != nil {
				fmt.Fprint(&b, " ", place, name(s), s.initiator, s.confirmed.Load(), s.worn.Load(), until(s.refuseAt))
			}
		}
		for _, p := range h.peers {
			fmt.Fprint(&b, " ", p.attempts, p.asked.Load(), p.handshake != nil, len(p.queue.packets), p.silent)
			if !p.attemptAt.IsZero() {
				fmt.Fprint(&b, " at ", until(p.attemptAt))
			}
		}
		fmt.Fprint(&b, ";")
	}
	var flight []string
	for _, d := range m.flight {
		flight = append(flight, m.describe(d, name))
	}
	slices.Sort(flight)
	return b.String() + strings.Join(flight, ",")
}

// describe says what a datagram means to its receiver.
func (m *model) describe(d datagram, name func(*session) int) string {
	text := fmt.Sprintf("%x>%d ", d.bytes[0], d.to.self[1])
	p := d.to.peers[d.from]
	switch d.bytes[0] {
	case typeInitiation:
		index := binary.BigEndian.Uint32(d.bytes[4:])
		h := d.from.peers[d.to].handshake
		return text + fmt.Sprint(h != nil && h.session.index == index)
	case typeResponse:
		to := binary.BigEndian.Uint32(d.bytes[8:])
		return text + fmt.Sprint(p.handshake != nil && p.handshake.session.index == to)
	}
	h, _ := parseHeader(d.bytes)
	if s := d.to.index.Load().find(h.index); s != nil {
		text += fmt.Sprint(name(s))
	}
	return text + fmt.Sprint(h.stream, m.accepted[string(d.bytes)], cmp.Compare(len(d.bytes), Overhead))
}

// memo computes each operation on the curve once: the search repeats them.
type memo struct {
	noise.DHFunc
	secrets map[string][]byte
	pairs   map[string]noise.DHKey
}

func (m memo) DH(private, public []byte) ([]byte, error) {
	key := string(private) + string(public)
	if secret, ok := m.secrets[key]; ok {
		return bytes.Clone(secret), nil
	}
	secret, err := m.DHFunc.DH(private, public)
	if err == nil {
		m.secrets[key] = bytes.Clone(secret)
	}
	return secret, err
}

func (m memo) GenerateKeypair(random io.Reader) (noise.DHKey, error) {
	private := make([]byte, keySize)
	if _, err := io.ReadFull(random, private); err != nil {
		return noise.DHKey{}, err
	}
	if pair, ok := m.pairs[string(private)]; ok {
		return noise.DHKey{Private: bytes.Clone(pair.Private), Public: bytes.Clone(pair.Public)}, nil
	}
	pair, err := m.DHFunc.GenerateKeypair(bytes.NewReader(private))
	if err == nil {
		m.pairs[string(private)] = noise.DHKey{Private: bytes.Clone(pair.Private), Public: bytes.Clone(pair.Public)}
	}
	return pair, err
}

func TestModelOfTwoNodesAndAnAttacker(t *testing.T) {
	states := modelStates
	if text := os.Getenv("FLANNELD_SEAL_STATES"); text != "" {
		var err error
		if states, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	aes, chacha := noiseAESGCM, noiseChaChaPoly
	defer func() { noiseAESGCM, noiseChaChaPoly = aes, chacha }()
	dh := memo{noise.DH25519, map[string][]byte{}, map[string]noise.DHKey{}}
	noiseAESGCM = noise.NewCipherSuite(dh, noise.CipherAESGCM, noise.HashSHA256)
	noiseChaChaPoly = noise.NewCipherSuite(dh, noise.CipherChaChaPoly, noise.HashSHA256)

	const reportEach = 5000 // states
	seen := map[string]bool{}
	deepest, reported := 0, 0
	for queue := [][]event{nil}; len(queue) > 0 && len(seen) < states && !t.Failed(); queue = queue[1:] {
		path := queue[0]
		if len(seen)/reportEach > reported {
			reported = len(seen) / reportEach
			t.Logf("%d states, up to %d events", len(seen), deepest)
		}
		m := newModel(t)
		for _, e := range path {
			m.apply(e)
		}
		for _, e := range m.events() {
			next := append(slices.Clone(path), e)
			m := newModel(t)
			for _, e := range next {
				m.apply(e)
			}
			m.check()
			if state := m.state(); !seen[state] {
				seen[state] = true
				queue = append(queue, next)
				deepest = max(deepest, len(next))
				m.heal()
			}
			if t.Failed() {
				t.Fatalf("after %v", next)
			}
		}
	}
	t.Logf("%d states, up to %d events", len(seen), deepest)
	if len(seen) < states {
		t.Errorf("the search ended after %d states", len(seen))
	}
}
