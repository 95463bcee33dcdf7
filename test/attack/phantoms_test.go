// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package attack

import (
	"math"
	"testing"
	"time"
)

// deathKnown is the limit for the time until all of three nodes know a death,
// with or without an attack. Undisturbed it takes 5 to 9 s.
const deathKnown = 15 * time.Second

// TestPhantomMembersCostLittleAndHideNoDeath announces 50,000 nodes that do not
// exist, then kills a host.
func TestPhantomMembersCostLittleAndHideNoDeath(t *testing.T) {
	t.Parallel()
	f := newField(t)
	f.learn(t)
	leases := f.leases()
	rest := f.atRest(t)

	m := Watch(t, f.hosts[0].Daemon)
	f.flood(t, 50_000, 7*time.Second)
	time.Sleep(8 * time.Second)
	within(t, "50,000 phantoms in 7 s", rest, m.Stop(t))
	f.healthy(t, leases)

	f.deathIsKnown(t, "beside phantoms", func() {})
	if nodes, err := f.hosts[0].Table(); err != nil || len(nodes.Nodes) > 10 {
		t.Errorf("the table has %d nodes, %v", len(nodes.Nodes), err)
	}
}

// TestForgedAccusationsKillNoMember calls a live member suspect and dead, with
// every kind of incarnation. memberlist believes that without a signature.
func TestForgedAccusationsKillNoMember(t *testing.T) {
	t.Parallel()
	f := newField(t)
	f.learn(t)
	leases := f.leases()
	victim := f.hosts[2]
	member := f.member(t, victim)
	p1, p3 := f.hosts[0].Pod(), victim.Pod()
	p1.Reachable(t, p3.Addr, 10*time.Second)

	pinger := p1.StartPinging(t, p3.Addr, 50*time.Millisecond)
	for i := range 100 {
		incarnation := member.Incarnation + uint32(i)
		if i > 50 {
			incarnation = math.MaxUint32 - uint32(i%3)
		}
		for _, kind := range []byte{typeSuspect, typeDead} {
			msg := message(kind, accusation{incarnation, member.Name, f.members[0].Name})
			for _, h := range f.hosts {
				if err := f.stranger.Say(h.Addr, msg); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	if count := pinger.Stop(); count.Lost > 2 {
		t.Errorf("pings while a live node was called dead: %v", count)
	}
	f.healthy(t, leases)
	f.deathIsKnown(t, "after forged accusations", func() {})
}

// TestForgedLifeHidesNoDeath announces a dead member as alive, and answers
// probes in its name.
func TestForgedLifeHidesNoDeath(t *testing.T) {
	t.Parallel()
	f := newField(t)
	f.learn(t)
	member := f.member(t, f.hosts[2])
	f.deathIsKnown(t, "against forged life", f.praise(member))
}

// deathIsKnown kills the last host, waits until the others know, ends the
// attack under way, and starts the host again.
func (f *field) deathIsKnown(t *testing.T, what string, stop func()) {
	t.Helper()
	leases := f.leases()
	victim := f.hosts[2]
	killed := time.Now()
	victim.Daemon.Kill()
	for _, h := range f.hosts[:2] {
		h.WaitState(victim.NodeName, "dead", 3*deathKnown)
	}
	took := time.Since(killed)
	stop()
	t.Logf("a death is known after %.1f s, %s", took.Seconds(), what)
	if took > deathKnown {
		t.Errorf("a death was known after %v", took)
	}
	victim.Start(append([]string{"--join", f.hosts[0].Addr.String()}, f.args...)...).WaitReady(20 * time.Second)
	f.healthy(t, leases)
}

// praise announces again and again that a member is alive. It answers probes of
// that member with each likely number. The function that it returns stops this.
func (f *field) praise(m memberState) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	at := addrOf(m)
	go func() {
		defer close(ended)
		for i := uint32(1); ; i++ {
			select {
			case <-done:
				return
			case <-time.After(50 * time.Millisecond):
			}
			for _, h := range f.hosts[:2] {
				_ = f.stranger.Say(h.Addr, aliveMessage(m.Name, at, m.Incarnation+i, m.Meta))
			}
			for first := uint32(0); first < 1000; first += 100 {
				acks := make([][]byte, 100)
				for j := range acks {
					acks[j] = message(typeAck, ack{SeqNo: first + uint32(j)})
				}
				for _, h := range f.hosts[:2] {
					_ = f.stranger.Say(h.Addr, compound(acks...))
				}
			}
		}
	}()
	return func() { close(done); <-ended }
}
