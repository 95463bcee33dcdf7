// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
)

// host stands in for a peer behind a device that checksums are left to.
type host struct {
	mu      sync.Mutex
	lease   netip.Prefix
	prober  *Prober
	cut     bool  // nothing reaches it
	largest int   // longer packets are lost; 0: none are
	broken  bool  // checksums that are left to the device are wrong
	silent  bool  // it does not answer TCP
	cannot  error // this host cannot leave anything to the device

	partial, whole, echoes int
	rate                   uint64 // packets a second that come from it beside the probes
	began                  time.Time
}

func (h *host) set(f func()) { h.mu.Lock(); defer h.mu.Unlock(); f() }

func (h *host) send(b []byte, o Offload) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	tcp := b[9] == packet.TCP
	switch {
	case tcp && o.Checksum && h.cannot != nil:
		return 0, h.cannot
	case tcp && o.Checksum:
		h.partial++
	case tcp:
		h.whole++
	default:
		h.echoes++
	}
	on := len(b)
	if o.Segment > 0 {
		on = tcpHeaders + o.Segment
	}
	if h.cut || h.largest > 0 && on > h.largest || tcp && (h.silent || o.Checksum && h.broken) {
		return 0, nil
	}
	answer := (&peer{lease: h.lease}).answer(b)
	if tcp {
		answer = reset(b)
	}
	if answer != nil {
		time.AfterFunc(time.Millisecond, func() { h.prober.Answer(answer) })
	}
	return 0, nil
}

// reset is what a kernel answers to an acknowledgement of a connection that it
// does not have.
func reset(b []byte) []byte {
	p := packet.Packet(b)
	answer := make([]byte, tcpHeaders)
	tcp := answer[packet.HeaderLen:]
	copy(tcp, b[packet.HeaderLen+2:packet.HeaderLen+4])
	copy(tcp[2:], b[packet.HeaderLen:packet.HeaderLen+2])
	copy(tcp[4:8], b[packet.HeaderLen+8:packet.HeaderLen+12])
	tcp[12], tcp[13] = 5<<4, flagReset
	return packet.Header{TTL: 64, Protocol: packet.TCP, Source: p.Destination(), Destination: p.Source()}.Put(answer)
}

// beginHost probes a host in a role until the test ends.
func beginHost(t *testing.T, h *host, role Role) {
	h.lease, h.began = netip.MustParsePrefix("10.244.2.0/24"), time.Now()
	h.prober = New(Config{Source: self})
	h.aim(role)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { h.prober.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
}

func (h *host) aim(role Role) {
	h.prober.Aim([]Target{{
		ID: "b", Lease: h.lease, Role: role, Checksums: true, Longest: func() int { return 1450 }, Send: h.send,
		Traffic: func() (uint64, uint64) {
			h.mu.Lock()
			defer h.mu.Unlock()
			return 0, h.rate * uint64(time.Since(h.began)/time.Second)
		},
	}})
}

func (h *host) result() Result { r, _ := h.prober.Result("b"); return r }

func TestChecksumsAreToldFromFilters(t *testing.T) {
	for _, c := range []struct {
		name string
		host *host
		want Result
	}{
		{"all is answered", &host{}, Result{State: Works, Full: true, Sums: SumsGood}},
		{"checksums arrive broken", &host{broken: true}, Result{State: Works, Full: true, Sums: SumsBroken}},
		{"a filter drops TCP", &host{silent: true}, Result{State: Works, Full: true, Sums: SumsUnclear}},
		{"this host cannot try", &host{cannot: errors.New("invalid argument")}, Result{State: Works, Full: true, Sums: SumsUnclear}},
		{"large packets are lost", &host{largest: 1000}, Result{State: SmallOnly, Sums: SumsNotTried}},
		{"all is lost", &host{cut: true}, Result{State: Failed}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				beginHost(t, c.host, Chosen)
				time.Sleep(15 * time.Second)
				got := c.host.result()
				if got.State != c.want.State || got.Full != c.want.Full || got.Sums != c.want.Sums {
					t.Errorf("got %+v, want %+v", got, c.want)
				}
				if got.State == Works && got.Lost > 0 {
					t.Errorf("%d probes count as lost", got.Lost)
				}
			})
		})
	}
}

// A chosen path that breaks is known to within 5 s under traffic, and within
// 40 s at rest.
func TestAChosenPathThatBreaksIsNoticedInTime(t *testing.T) {
	for name, c := range map[string]struct {
		hurt func(*host)
		seen func(Result) bool
	}{
		"cut":              {func(h *host) { h.cut = true }, func(r Result) bool { return r.State == Failed }},
		"large ones only":  {func(h *host) { h.largest = 1000 }, func(r Result) bool { return r.State == SmallOnly && !r.Full }},
		"broken checksums": {func(h *host) { h.broken = true }, func(r Result) bool { return r.State == Works && r.Sums == SumsBroken }},
	} {
		for rate, within := range map[uint64]time.Duration{20: 5 * time.Second, 8: 40 * time.Second} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := &host{rate: rate}
					beginHost(t, h, Chosen)
					time.Sleep(65 * time.Second)
					h.set(func() { c.hurt(h) })
					hurt := time.Now()
					for !c.seen(h.result()) && time.Since(hurt) < 2*within {
						time.Sleep(50 * time.Millisecond)
					}
					if took := time.Since(hurt); took > within {
						t.Errorf("%d packets a second: noticed after %v, want %v: %+v", rate, took, within, h.result())
					}
				})
			})
		}
	}
}

// After the device's settings were changed, checksums are tried anew.
func TestChecksumsAreTriedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{broken: true}
		beginHost(t, h, Chosen)
		time.Sleep(15 * time.Second)
		if r := h.result(); r.Sums != SumsBroken {
			t.Fatalf("before: %+v", r)
		}
		h.set(func() { h.broken = false })
		h.prober.TrySums()
		time.Sleep(time.Second)
		if r := h.result(); r.Sums != SumsGood || r.State != Works {
			t.Errorf("after: %+v", r)
		}
	})
}

// A path that has failed before costs a few small packets a try. One in
// reserve is probed about once a minute until it is needed.
func TestRolesDecideWhatProbesCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{cut: true}
		beginHost(t, h, Trial)
		time.Sleep(2500 * time.Millisecond)
		h.set(func() {
			if h.echoes > 5 || h.result().State != Failed {
				t.Errorf("a trial: %d probes, %+v", h.echoes, h.result())
			}
		})
	})
	synctest.Test(t, func(t *testing.T) {
		h := &host{}
		beginHost(t, h, Reserve)
		time.Sleep(time.Minute)
		before := 0
		h.set(func() { before = h.echoes })
		time.Sleep(10 * time.Minute)
		h.set(func() {
			if n := h.echoes - before; n < 8 || n > 16 {
				t.Errorf("in reserve: %d probes in 10 minutes", n)
			}
			h.cut = true
		})
		h.aim(Only)
		time.Sleep(5 * time.Second)
		if r := h.result(); r.State != Failed {
			t.Errorf("needed: %+v", r)
		}
	})
}

func TestAnotherWayIsProvenAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{}
		beginHost(t, h, Chosen)
		time.Sleep(5 * time.Second)
		if _, known := h.prober.Result("c"); known {
			t.Error("knows what is no target")
		}
		h.prober.Aim([]Target{{ID: "b", Lease: h.lease, Way: "another MAC", Longest: func() int { return 1450 }, Send: h.send}})
		if r := h.result(); r.State != Unproven {
			t.Errorf("got %+v", r)
		}
	})
}

// The probes are what a kernel takes: whole where nothing is left to the
// device, and with the sum of the pseudo-header where the checksum is.
func TestSegmentsHaveTheChecksumThatIsSaid(t *testing.T) {
	whole := request{source: self, destination: testPeer.lease.Addr(), sequence: 0xabcd, ttl: plainTTL, tcp: true, size: 1450}
	partial := whole
	partial.size, partial.offload = 2860, Offload{Checksum: true, Segment: 1410}
	for name, r := range map[string]request{"whole": whole, "partial": partial} {
		b := testToken.build(r)
		l, ok := packet.LayoutOf(b)
		if !ok || l.Protocol != packet.TCP || len(b) != r.size {
			t.Fatalf("%s: no TCP segment of %d bytes", name, r.size)
		}
		if l.ChecksumValid(b) != (name == "whole") {
			t.Errorf("%s: checksum valid: %t", name, l.ChecksumValid(b))
		}
		tcp := b[packet.HeaderLen:]
		if got, want := binary.BigEndian.Uint16(tcp[16:]), packet.PseudoHeader(b, len(tcp)).Fold(); name == "partial" && got != want {
			t.Errorf("%s: %#x, want the pseudo-header's %#x", name, got, want)
		}
		answer, ok := testToken.parse(reset(b))
		if !ok || !answer.tcp || answer.sequence != r.sequence || answer.from != testPeer.lease.Addr() {
			t.Errorf("%s: the reset is %+v, %t", name, answer, ok)
		}
		if _, ok := testToken.parse(b); ok {
			t.Errorf("%s: answers itself", name)
		}
		for change, at := range map[string]int{"cookie": 4, "source port": 1, "destination port": 2, "flags": 13} {
			forged := packettest.Changed(reset(b), packet.HeaderLen+at, 0)
			if _, ok := testToken.parse(forged); ok {
				t.Errorf("%s: with another %s it is an answer", name, change)
			}
		}
	}
}
