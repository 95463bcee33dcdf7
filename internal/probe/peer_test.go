// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"flanneld/internal/packet"
)

var self = netip.MustParseAddr("10.244.1.0")

// peer stands in for a host that probes are sent to. The test sets what its
// kernel and the underlay do with each probe.
type peer struct {
	endpoint netip.AddrPort
	lease    netip.Prefix

	delay     time.Duration
	deaf      bool  // nothing reaches it
	noEcho    bool  // ignores echo requests (net.ipv4.icmp_echo_ignore_all)
	noForward bool  // does not forward
	second    bool  // has not the first address of its lease, but the second
	stamp     Stamp // of what carries packets here; zero: it stamps none
	largest   int   // longer packets are lost on the way; 0: none are
	fits      int   // longer packets are refused by this host's kernel; 0: none are
	refuse    error // this host's kernel sends nothing

	egress, ingress uint64 // traffic beside the probes

	sent, bytes int
	largeSent   int
	lastSize    int
}

// world joins a prober with its peers.
type world struct {
	mu     sync.Mutex
	peers  map[netip.AddrPort]*peer
	prober *Prober
	change int

	answers func(packet []byte) bool // takes answers
}

// begin makes a prober that probes the peers until the test ends. It is to be
// called in a bubble of testing/synctest.
func begin(t *testing.T, peers ...*peer) *world {
	w := &world{peers: map[netip.AddrPort]*peer{}}
	w.prober = New(Config{Source: self, Send: w.send, Changed: func() { w.change++ }})
	w.answers = w.prober.Answer
	var targets []Target
	for i, p := range peers {
		p.lease = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(100 + i/256), byte(i), 0}), 24)
		p.endpoint = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(i / 256), byte(i)}), 8285)
		w.peers[p.endpoint] = p
		var own netip.Addr
		if p.second {
			own = p.own()
		}
		targets = append(targets, Target{
			Own: own, ID: p.lease.String(), Endpoint: p.endpoint, Lease: p.lease, Longest: func() int { return 1472 },
			Traffic: func() (uint64, uint64) { w.mu.Lock(); defer w.mu.Unlock(); return p.egress, p.ingress },
		})
	}
	w.prober.Aim(targets)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.prober.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

// set changes peers while probes are under way.
func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) result(p *peer) Result {
	r, _ := w.prober.Result(p.lease.String())
	return r
}

func (w *world) send(to netip.AddrPort, packet []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.peers[to]
	if p.fits > 0 && len(packet) > p.fits {
		return p.fits, errors.New("message too long")
	}
	if p.refuse != nil {
		return 0, p.refuse
	}
	p.sent++
	p.bytes += len(packet) + 28
	p.lastSize = len(packet)
	if len(packet) > smallSize {
		p.largeSent++
	}
	if p.deaf || p.largest > 0 && len(packet) > p.largest {
		return 0, nil
	}
	if answer := p.answer(packet); answer != nil {
		time.AfterFunc(p.delay, func() { w.answers(answer) })
	}
	return 0, nil
}

// own is the address that the peer's kernel has.
func (p *peer) own() netip.Addr {
	if p.second {
		return p.lease.Addr().Next()
	}
	return p.lease.Addr()
}

// answer is what a kernel answers. That is an echo reply, or "time exceeded"
// with as much of the packet as 576 bytes take (RFC 1812, section 4.3.2.3).
func (p *peer) answer(request []byte) []byte {
	destination := netip.AddrFrom4([4]byte(request[16:20]))
	switch {
	case destination == p.own() && !p.noEcho:
		b := slices.Clone(request)
		copy(b[12:16], request[16:20])
		copy(b[16:20], request[12:16])
		b[packet.HeaderLen] = packet.ICMPEchoReply
		if at := b[smallSize:]; p.stamp != (Stamp{}) && len(at) >= stampLen && [stampLen]byte(at) == p.stamp.Asked {
			copy(at, p.stamp.Seen[:])
		}
		packet.SetICMPChecksum(b[packet.HeaderLen:])
		return b
	case destination != p.own() && request[8] <= 1 && !p.noForward:
		return icmpError(p.lease.Addr(), packet.ICMPTimeExceeded, 0, request)
	}
	return nil
}

// icmpError is an ICMP error message about a packet.
func icmpError(from netip.Addr, kind, code byte, about []byte) []byte {
	const headers = packet.HeaderLen + icmpHeader
	b := make([]byte, headers, 576)
	b = append(b, about[:min(len(about), 576-headers)]...)
	b[packet.HeaderLen], b[packet.HeaderLen+1] = kind, code
	packet.SetICMPChecksum(b[packet.HeaderLen:])
	return packet.Header{TTL: 64, Protocol: packet.ICMP, Source: from, Destination: packet.Packet(about).Source()}.Put(b)
}

// totals sums up over all peers.
func (w *world) totals() (sent, bytes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p := range maps.Values(w.peers) {
		sent += p.sent
		bytes += p.bytes
	}
	return sent, bytes
}
