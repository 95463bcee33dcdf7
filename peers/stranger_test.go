// SPDX-License-Identifier: Apache-2.0

//go:build !race

package peers

import (
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"flanneld/peers/internal/gossip"
	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

// adversary sends what it likes: from an endpoint of its own, or, as a member
// that lies would, from another's.
type adversary struct {
	*testing.T
	net *vnet
	udp gossip.Datagrams
	at  netip.AddrPort
	key record.Identity
}

func newAdversary(c *cluster) *adversary {
	a := &adversary{T: c.T, net: c.net, at: netip.AddrPortFrom(nextHost(), testPort), key: keyOf(66)}
	var err error
	if a.udp, err = c.net.ListenUDP(a.at); err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { _ = a.udp.Close() })
	return a
}

// say sends a message to a host.
func (a *adversary) say(h *host, msg []byte) {
	to := netip.MustParseAddrPort(h.gossip())
	if _, err := a.udp.WriteToUDPAddrPort(append(wire.Envelope(wire.ModePlain), msg...), to); err != nil {
		a.Fatal(err)
	}
}

// sayAs sends one as if it came from another host.
func (a *adversary) sayAs(as, h *host, msg []byte) {
	a.net.send(append(wire.Envelope(wire.ModePlain), msg...), netip.MustParseAddrPort(as.gossip()), netip.MustParseAddrPort(h.gossip()))
}

// self is what a host's member says of itself.
func (h *host) self() wire.Meta { return h.node.engine.Load().gossip.Self() }

// keyOf makes the key of a node of a test, always the same one.
func keyOf(n ...byte) record.Identity {
	var seed [ed25519.SeedSize]byte
	copy(seed[:], n)
	return record.Identity{Key: ed25519.NewKeyFromSeed(seed[:])}
}

// memberOf is a member as gossip names it.
func memberOf(key record.Identity, m wire.Meta) wire.Member {
	m.Node, m.Speaks = key.ID(), wire.OwnVersions
	return wire.Member{Incarnation: 1, Node: m.Name(), At: m.At, Meta: m.Encode(key), Vsn: []byte{1, 5, 2, 0, 0, 0}}
}

// phantomNode is a member that does not exist.
func phantomNode(n int, network record.NetworkID) wire.Member {
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(n >> 8), byte(n)}), uint16(1+n>>16))
	return memberOf(keyOf(99, byte(n>>16), byte(n>>8), byte(n)), wire.Meta{Start: 1, Instance: 1, At: at, Network: network, Prefix: DefaultNetwork})
}

// member is what gossip says of a host.
func (a *adversary) member(h *host) wire.Member {
	return memberOf(h.node.last.Identity, h.self())
}

// Alive messages and acknowledgements have no signature. From a stranger, and
// from a member that lies, they neither keep a dead node alive nor bring it
// back.
func TestForgedLifeHidesNoDeath(t *testing.T) {
	t.Parallel()
	for _, member := range []bool{false, true} {
		t.Run(fmt.Sprintf("member %v", member), func(t *testing.T) {
			virtually(t, func(t *testing.T) {
				c := newCluster(t, 11, 4)
				c.begin()
				time.Sleep(10 * time.Second)
				a, liar, dead := newAdversary(c), c.hosts[0], c.hosts[3]
				m := a.member(dead)
				dead.stop()
				start, stop := time.Now(), make(chan struct{})
				go func() {
					for seq := uint32(1); ; seq++ {
						for _, h := range c.hosts[1:3] {
							m.Incarnation++
							msgs := [][]byte{m.Encode(), wire.Accusation{Incarnation: m.Incarnation, Node: m.Node, From: m.Node}.Encode(wire.TypeDead), m.Encode()}
							for n := range uint32(20) {
								msgs = append(msgs, wire.EncodeAck(wire.TypeAck, seq%50+n))
							}
							for _, msg := range msgs {
								if member {
									a.sayAs(liar, h, msg)
								} else {
									a.say(h, msg)
								}
							}
						}
						select {
						case <-time.After(50 * time.Millisecond):
						case <-stop:
							return
						}
					}
				}()
				for _, h := range c.hosts[1:3] {
					h.sees(dead, Dead)
				}
				took := time.Since(start)
				t.Logf("known dead after %v", took)
				if took > 15*time.Second {
					t.Error("that is too long")
				}
				for since := time.Now(); time.Since(since) < 30*time.Second; time.Sleep(10 * time.Millisecond) {
					for _, h := range c.hosts[1:3] {
						if !seenDead(h, []*host{dead}) {
							t.Fatalf("it is back after %v", time.Since(since))
						}
					}
				}
				close(stop)
				dead.start()
				for _, h := range c.hosts[:3] {
					h.sees(dead, Alive)
				}
				c.end()
			})
		})
	}
}

// Accusations, with the greatest numbers there are, cost a live node nothing.
func TestForgedDeathKillsNoNode(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T) {
		c := newCluster(t, 12, 4)
		c.begin()
		before := c.leases()
		a, liar, victim := newAdversary(c), c.hosts[0], c.hosts[3]
		m := a.member(victim)
		for range 600 {
			for _, h := range c.hosts[1:] {
				for _, incarnation := range []uint32{1, 2, wire.MaxIncarnation - 1, wire.MaxIncarnation, wire.MaxIncarnation + 1, 1<<32 - 1} {
					for _, kind := range []byte{wire.TypeSuspect, wire.TypeDead} {
						msg := wire.Accusation{Incarnation: incarnation, Node: m.Node, From: m.Node}.Encode(kind)
						a.say(h, msg)
						a.sayAs(liar, h, msg)
					}
				}
			}
			time.Sleep(100 * time.Millisecond)
			for _, h := range c.hosts[:3] {
				if seenDead(h, []*host{victim}) {
					t.Fatalf("%s takes it for dead", h.config.Name)
				}
			}
		}
		time.Sleep(10 * time.Second)
		c.converge(healTime)
		c.unchanged(before)
		start := time.Now()
		victim.stop()
		for _, h := range c.hosts[:3] {
			h.sees(victim, Dead)
		}
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("its death is known after %v", took)
		}
		for _, h := range c.hosts[:3] {
			h.stop()
		}
	})
}

// Phantoms do not get in, and no death takes longer for them.
func TestPhantomsAreKeptOut(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T) {
		c := newCluster(t, 13, 3)
		c.begin()
		a, h, dead := newAdversary(c), c.hosts[1], c.hosts[2]
		g := h.node.engine.Load().gossip
		network := g.Network()
		for n := range 5000 {
			msg := phantomNode(n, network).Encode()
			a.say(h, msg)               // in another's name
			a.sayAs(c.hosts[0], h, msg) // passed on
			if n%500 == 499 {
				time.Sleep(100 * time.Millisecond)
			}
		}
		if n := g.Counts(); n.Members > 2 || n.Applicants > 1024 || n.Listed > 3 {
			t.Errorf("%+v", n)
		} else {
			t.Logf("%+v", n)
		}
		start := time.Now()
		dead.stop()
		h.sees(dead, Dead)
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("a death is known after %v", took)
		}
		time.Sleep(40 * time.Second)
		if n := g.Counts().Applicants; n != 0 {
			t.Errorf("%d applicants are never dropped", n)
		}
		c.hosts[0].stop()
		h.stop()
	})
}

// What a node said at another address, and questions passed on to it, make no
// duplicate, neither while it runs nor when it starts again.
func TestForgedDuplicateStopsNoNode(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T) {
		c := newCluster(t, 14, 3)
		c.begin()
		a, victim := newAdversary(c), c.hosts[2]
		lease := victim.leased()
		time.Sleep(2 * gossip.SettleTime)
		old := a.member(victim) // settled
		if m, err := wire.ParseMeta(old.Meta); err != nil || !m.Settled {
			t.Fatalf("it is not settled: %+v, %v", m, err)
		}
		was := victim.config.Advertise
		addr := nextHost()
		if err := victim.node.Move(t.Context(), addr, addr); err != nil {
			t.Fatal(err)
		}
		victim.config.Advertise, victim.config.Bind = addr, addr
		c.converge(healTime)
		// The adversary has the old address now, and passes all questions on.
		relay, err := c.net.ListenUDP(netip.AddrPortFrom(was, testPort))
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			var asker netip.AddrPort
			for b := make([]byte, 2000); ; {
				n, from, _, err := relay.Read(b)
				switch {
				case err != nil:
					return
				case n > wire.EnvelopeSize && b[wire.EnvelopeSize] == wire.TypeQuestion:
					asker = from
					_, _ = relay.WriteToUDPAddrPort(b[:n], netip.AddrPortFrom(addr, testPort))
				case n > wire.EnvelopeSize && b[wire.EnvelopeSize] == wire.TypeProof && asker.IsValid():
					_, _ = relay.WriteToUDPAddrPort(b[:n], asker)
				}
			}
		}()
		forgery := memberOf(a.key, wire.Meta{Start: 9, Instance: 9, At: a.at, Settled: true}).Meta
		copy(forgery[3:35], old.Meta[3:35]) // the victim's key, and another's signature
		twins := []wire.Member{old, {Incarnation: 1, Node: wire.MemberName(victim.node.last.Identity.ID(), 9), At: a.at, Meta: forgery, Vsn: old.Vsn}}
		tell := func() {
			for _, m := range twins {
				for _, h := range c.hosts {
					a.say(h, m.Encode())
					a.sayAs(c.hosts[0], h, m.Encode())
				}
			}
			time.Sleep(time.Second)
		}
		for range 10 {
			tell()
		}
		if got := victim.leased(); got != lease {
			t.Errorf("lease %v, was %v", got, lease)
		}
		victim.stop()
		victim.start()
		for range 3 * int(gossip.SettleTime/time.Second) {
			select {
			case err := <-victim.result:
				t.Fatalf("the restart ended: %v", err)
			default:
			}
			if victim.node.engine.Load() != nil {
				tell()
			}
		}
		if got := victim.leased(); got != lease {
			t.Errorf("lease %v after the restart, was %v", got, lease)
		}
		for _, h := range c.hosts {
			if strings.Contains(h.log.String(), "this node's identity") {
				t.Errorf("%s found a duplicate:\n%s", h.config.Name, h.log)
			}
		}
		_ = relay.Close()
		c.end()
	})
}

// A node that is in no network learns about one from the nodes that it dials,
// whatever others send it.
func TestStrangerDrawsNoNewcomerIntoItsNetwork(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T) {
		c := newCluster(t, 15, 1)
		c.begin()
		newcomer := newHost(t, nil)
		newcomer.sockets = c.net
		newcomer.config.Join = []string{nextHost().String()} // no node is there
		newcomer.start()
		time.Sleep(time.Second)
		// Another network's founder dials it.
		for range 5 {
			_, _ = c.hosts[0].node.Join(t.Context(), []string{newcomer.gossip()})
			time.Sleep(2 * time.Second)
		}
		if s := newcomer.node.Snapshot(); s.Network.Prefix.IsValid() || s.Lease != Joining {
			t.Errorf("it is in %v: %v", s.Network, s.Lease)
		}
		newcomer.stop()
		c.end()
	})
}

// A stranger cannot make a node send anything to a third party, nor more than
// it sent itself.
func TestNothingIsSentToThirdParties(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T) {
		c := newCluster(t, 16, 2)
		c.begin()
		a, h := newAdversary(c), c.hosts[0]
		third, err := c.net.ListenUDP(netip.AddrPortFrom(nextHost(), testPort))
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan int, 1000)
		go func() {
			for b := make([]byte, 2000); ; {
				n, _, _, err := third.Read(b)
				if err != nil {
					return
				}
				got <- n
			}
		}()
		at := third.(*vudp).at
		g := h.node.engine.Load().gossip
		phantom := phantomNode(1, g.Network())
		phantom.At = at
		direct := wire.EncodeDirect(a.key.ID(), at, slices.Repeat([]byte{1}, 900), 0)
		sent := 0
		for _, msg := range [][]byte{
			wire.Ping{Seq: 1, Node: h.self().Name(), Source: at, By: "x"}.Encode(),
			wire.IndirectPing{Ping: wire.Ping{Seq: 1, Node: "x", Source: a.at, By: "x"}, Target: at, Nack: true}.Encode(),
			wire.IndirectPing{Ping: wire.Ping{Seq: 1, Node: "x", Source: at, By: "x"}, Target: c.hosts[1].self().At, Nack: true}.Encode(),
			phantom.Encode(), append([]byte{wire.TypeUser}, direct...),
		} {
			for range 20 {
				a.say(h, msg)
				sent += len(msg)
			}
		}
		time.Sleep(30 * time.Second)
		if n := len(got); n != 0 {
			t.Errorf("%d datagrams reached a third party", n)
		}
		before := c.net.traffic()
		nonce := [wire.NonceSize]byte{1}
		a.say(h, wire.EncodeQuestion(nonce, h.self().Node))
		b := make([]byte, 2000)
		if n, _, _, err := a.udp.Read(b); err != nil || n > wire.EnvelopeSize+wire.ProofSize {
			t.Errorf("an answer of %d bytes, %v (traffic %d)", n, err, before)
		}
		_ = third.Close()
		c.end()
	})
}
