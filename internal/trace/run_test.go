// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"flanneld/internal/packet"
)

var (
	gateway = netip.MustParseAddr("10.244.7.1")
	first   = netip.MustParseAddr("10.244.7.254")
	second  = netip.MustParseAddr("10.244.7.253")
	remote  = netip.MustParseAddr("10.244.9.2")
	overlay = netip.MustParseAddr("10.244.7.0")
	there   = netip.MustParseAddr("10.244.9.0")

	ownMAC    = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	bridgeMAC = net.HardwareAddr{2, 0, 0, 0, 0, 2}
)

// bridge is a bridge with what stands behind it. It speaks ARP as Linux does,
// and answers each echo request as reply says.
type bridge struct {
	frames chan []byte
	closed chan struct{}
	taken  []netip.Addr // of containers
	mute   bool
	// knows is whether the bridge has learned the source's address: an answer
	// needs it.
	knows bool
	reply func(ip packet.Packet) []byte
	// after is how long the answers take.
	after func(ttl byte) time.Duration
}

func newBridge() *bridge {
	return &bridge{
		frames: make(chan []byte, 64), closed: make(chan struct{}), after: func(byte) time.Duration { return time.Millisecond },
	}
}

func (b *bridge) Read(buf []byte) (int, error) {
	select {
	case f := <-b.frames:
		return copy(buf, f), nil
	case <-b.closed:
		return 0, io.EOF
	}
}

func (b *bridge) Close() error { close(b.closed); return nil }

func (b *bridge) Write(frame []byte) (int, error) {
	if b.mute {
		return len(frame), nil
	}
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherARP:
		a, _ := parseARP(frame[ethernetLen:])
		if a.operation == arpReply {
			b.knows = true
		}
		for _, has := range append([]netip.Addr{gateway}, b.taken...) {
			if a.operation == arpRequest && a.target == has {
				b.frames <- arp{operation: arpReply, senderMAC: bridgeMAC, sender: has, target: a.sender}.frame(ownMAC)
			}
		}
	case etherIPv4:
		if !b.knows { // it asks, as a kernel does before its first answer
			b.frames <- arp{operation: arpRequest, senderMAC: bridgeMAC, sender: gateway, target: packet.Packet(frame[ethernetLen:]).Source()}.frame(broadcast)
		}
		ip := packet.Packet(append([]byte(nil), frame[ethernetLen:]...))
		if answer := b.reply(ip); answer != nil {
			out := make([]byte, ethernetLen, ethernetLen+len(answer))
			ethernet(out, ownMAC, bridgeMAC, etherIPv4)
			time.AfterFunc(b.after(ip.TTL()), func() {
				select {
				case b.frames <- append(out, answer...):
				case <-b.closed:
				}
			})
		}
	}
	return len(frame), nil
}

// message is an ICMP message from a station about a packet.
func message(from netip.Addr, kind, code byte, about packet.Packet) []byte {
	b := make([]byte, packet.HeaderLen+icmpHeader, packet.HeaderLen+icmpHeader+len(about))
	if kind == packet.ICMPEchoReply {
		b = append(b[:packet.HeaderLen], about.Payload()...)
	} else {
		b = append(b, about[:packet.HeaderLen+icmpHeader]...) // all that a router has to send
	}
	icmp := b[packet.HeaderLen:]
	icmp[0], icmp[1] = kind, code
	packet.SetICMPChecksum(icmp)
	return packet.Header{TTL: 60, Protocol: packet.ICMP, Source: from, Destination: about.Source()}.Put(b)
}

// way answers like a host with flanneld and its peer. The first n stations
// work. decide is what the one behind them says; nil: nothing.
func way(n Place, decide func(packet.Packet) []byte) func(packet.Packet) []byte {
	stations := map[byte]netip.Addr{1: gateway, 2: overlay, 3: there}
	return func(ip packet.Packet) []byte {
		at, expires := stations[ip.TTL()]
		switch {
		case expires && Place(ip.TTL()) <= n:
			return message(at, packet.ICMPTimeExceeded, 0, ip)
		case n == Container:
			return message(ip.Destination(), packet.ICMPEchoReply, 0, ip)
		case decide != nil:
			return decide(ip)
		}
		return nil
	}
}

func config(b *bridge) Config {
	return Config{Port: b, MAC: ownMAC, Gateway: gateway, Sources: []netip.Addr{first, second}, To: remote}
}

func ground() Ground {
	return Ground{Bridge: "docker0", Gateway: gateway, Lease: netip.MustParsePrefix("10.244.7.0/24"), Device: "flannel0", To: remote, Node: "beta (daqidas2)", Name: "beta", Path: "udp"}
}

func TestATraceSeesHowFarPacketsCome(t *testing.T) {
	for _, n := range []Place{Bridge, Kernel, Flanneld, Peer, Container} { // the other host says nothing
		synctest.Test(t, func(t *testing.T) {
			b := newBridge()
			b.reply = way(n, nil)
			start := time.Now()
			r, err := Run(t.Context(), config(b))
			if err != nil || r.From != first {
				t.Fatalf("%v: %+v, %v", n, r, err)
			}
			s := ground().Tell(r)
			if s.Last != n || s.Arrived != (n == Container) || s.Verdict == "" || (s.Advice == "") != s.Arrived {
				t.Errorf("%v: %+v of %+v", n, s, r)
			}
			for _, one := range s.Stations {
				if one.Proven != (one.Place <= n) || one.Place > Bridge && one.Proven && one.After != time.Millisecond {
					t.Errorf("%v: station %+v", n, one)
				}
			}
			if took := time.Since(start); took > 9*time.Second || s.Arrived && took > time.Second {
				t.Errorf("%v: it takes %v", n, took)
			}
		})
	}
}

func TestAnAddressThatAContainerHasIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBridge()
		b.reply = way(Container, nil)
		b.taken = []netip.Addr{first}
		if r, err := Run(t.Context(), config(b)); err != nil || r.From != second {
			t.Errorf("%+v, %v", r, err)
		}
		b = newBridge()
		b.taken = []netip.Addr{first, second}
		if _, err := Run(t.Context(), config(b)); !errors.Is(err, ErrNoSource) {
			t.Errorf("all are taken: %v", err)
		}
		b = newBridge()
		b.mute = true
		if _, err := Run(t.Context(), config(b)); !errors.Is(err, ErrBridge) {
			t.Errorf("a mute bridge: %v", err)
		}
		b = newBridge()
		b.reply = way(Kernel, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := Run(ctx, config(b)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller that is gone: %v", err)
		}
	})
}

// Only the container knows the cookie, and only stations that saw a packet know
// its number.
func TestForgedAnswersAreNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBridge()
		b.reply = func(ip packet.Packet) []byte {
			forged := packet.Packet(append([]byte(nil), ip...))
			if ip.TTL() == Reached {
				forged[len(forged)-1] ^= 1
				return message(remote, packet.ICMPEchoReply, 0, forged)
			}
			forged.Payload()[5] ^= 1 // the identifier
			return message(there, packet.ICMPTimeExceeded, 0, forged)
		}
		if r, err := Run(t.Context(), config(b)); err != nil || len(r.Answers) != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	m := mark{id: 0x1234, cookie: [cookieLen]byte{1, 2, 3}}
	request := packet.Packet(m.request(bridgeMAC, ownMAC, first, remote, 1, Reached)[ethernetLen:])
	f.Add(message(remote, packet.ICMPEchoReply, 0, request))
	f.Add(message(there, packet.ICMPTimeExceeded, 0, request))
	f.Add(message(there, packet.ICMPUnreachable, 13, request)[:packet.HeaderLen+icmpHeader+4])
	f.Add([]byte(request))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, _, ok := m.answer(b, first, remote)
		if ok && (a.Kind == packet.ICMPEchoReply && a.From != remote || a.Kind != packet.ICMPEchoReply && a.Kind != packet.ICMPUnreachable && a.Kind != packet.ICMPTimeExceeded) {
			t.Errorf("%+v", a)
		}
		if ok {
			ground().Tell(Result{From: first, Answers: []Answer{a}})
		}
		parseARP(b)
	})
}
