// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// Port is a port of a bridge; see package tap. Close ends a Read.
type Port interface {
	io.ReadWriteCloser
}

// Config is what a trace needs. The port is closed at its end.
type Config struct {
	Port    Port
	MAC     net.HardwareAddr // of the port's frames
	Gateway netip.Addr       // of the bridge, where containers send packets
	// Sources are addresses that no container should have. The first one that
	// does not answer is taken.
	Sources []netip.Addr
	To      netip.Addr
	ID      uint16 // of the echo requests; see NewID
}

// Answer is what a station has said to one packet.
type Answer struct {
	TTL   byte       // of the packet, when it was sent
	From  netip.Addr // of the station that answers
	Kind  byte       // of the ICMP message
	Code  byte
	After time.Duration // since the packet was sent
}

// Result is what came of a trace.
type Result struct {
	From    netip.Addr
	Answers []Answer // the first one to each time to live, the longest first
}

// Reached is the time to live of a packet that goes all the way.
const Reached = 64

// Times to live that are tried: each next station lowers it by one. Three
// do so before a container: this host, flanneld, the other host. The
// packet that goes all the way is sent first, and none is sent again that has
// its answer: kernels send few ICMP errors a second to one address.
var hops = []byte{Reached, 3, 2, 1}

const (
	gatewayTime = 3 * time.Second        // for the bridge to take the port into service
	askPause    = 100 * time.Millisecond // between ARP requests
	vacantTime  = 200 * time.Millisecond // for a container to say that it has an address
	roundPause  = 500 * time.Millisecond
	// traceTime is how long answers are waited for. A host that has no answer
	// to ARP says so after three seconds.
	traceTime = 4500 * time.Millisecond
	settle    = 150 * time.Millisecond // for other answers, once it is decided
)

// Errors of Run.
var (
	// ErrBridge: the bridge does not answer to ARP.
	ErrBridge = errors.New("the bridge does not answer to ARP")
	// ErrNoSource: containers have all addresses that were tried.
	ErrNoSource = errors.New("no free address on the bridge")
)

// tracer is a running trace. It belongs to the goroutine of Run.
type tracer struct {
	Config
	mark    mark
	frames  chan []byte
	source  netip.Addr
	gateway net.HardwareAddr
	taken   netip.Addr // an address that a container has
	sent    map[[2]byte]time.Time
	answers map[byte]Answer
}

// Run sends packets and takes answers, for five seconds at most.
func Run(ctx context.Context, c Config) (Result, error) {
	t := &tracer{Config: c, mark: newMark(c.ID), frames: make(chan []byte), sent: map[[2]byte]time.Time{}, answers: map[byte]Answer{}}
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		t.read(done)
	}()
	defer func() {
		close(done)
		_ = c.Port.Close()
		<-ended
	}()
	if err := t.findGateway(ctx); err != nil {
		return Result{}, err
	}
	if err := t.findSource(ctx); err != nil {
		return Result{}, err
	}
	if err := t.rounds(ctx); err != nil {
		return Result{}, err
	}
	r := Result{From: t.source}
	for _, ttl := range hops {
		if a, ok := t.answers[ttl]; ok {
			r.Answers = append(r.Answers, a)
		}
	}
	return r, nil
}

// read hands over frames until the port is closed.
func (t *tracer) read(done <-chan struct{}) {
	buf := make([]byte, 1<<16)
	for {
		n, err := t.Port.Read(buf)
		if err != nil {
			return
		}
		select {
		case t.frames <- append([]byte(nil), buf[:n]...):
		case <-done:
			return
		}
	}
}

// pass takes frames for some time, or until enough reports true.
func (t *tracer) pass(ctx context.Context, d time.Duration, enough func() bool) error {
	over := time.NewTimer(d)
	defer over.Stop()
	for !enough() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-over.C:
			return nil
		case frame := <-t.frames:
			t.take(frame)
		}
	}
	return nil
}

func never() bool { return false }

// findGateway asks for the bridge's Ethernet address.
func (t *tracer) findGateway(ctx context.Context) error {
	question := arp{operation: arpRequest, senderMAC: t.MAC, sender: netip.IPv4Unspecified(), target: t.Gateway}.frame(broadcast)
	for range gatewayTime / askPause {
		if err := t.write(question); err != nil {
			return err
		}
		if err := t.pass(ctx, askPause, func() bool { return t.gateway != nil }); err != nil {
			return err
		}
		if t.gateway != nil {
			return nil
		}
	}
	return ErrBridge
}

// findSource takes the first address that no container has (RFC 5227, section
// 2.1.1, with one probe).
func (t *tracer) findSource(ctx context.Context) error {
	for _, a := range t.Sources {
		t.taken = netip.Addr{}
		t.source = a // so that take sees an answer
		if err := t.write(arp{operation: arpRequest, senderMAC: t.MAC, sender: netip.IPv4Unspecified(), target: a}.frame(broadcast)); err != nil {
			return err
		}
		if err := t.pass(ctx, vacantTime, func() bool { return t.taken == a }); err != nil {
			return err
		}
		if t.taken != a {
			return nil
		}
	}
	return ErrNoSource
}

// rounds sends a packet of each time to live every half a second, until one has
// an answer that decides.
func (t *tracer) rounds(ctx context.Context) error {
	for round := range int(traceTime / roundPause) {
		for _, ttl := range hops {
			if _, ok := t.answers[ttl]; ok {
				continue
			}
			t.sent[[2]byte{byte(round), ttl}] = time.Now()
			if err := t.write(t.mark.request(t.gateway, t.MAC, t.source, t.To, round, ttl)); err != nil {
				return err
			}
		}
		if err := t.pass(ctx, roundPause, t.decided); err != nil {
			return err
		}
		if t.decided() {
			return t.pass(ctx, settle, never)
		}
	}
	return nil
}

// decided reports whether the packet that goes all the way has its answer.
func (t *tracer) decided() bool {
	_, ok := t.answers[Reached]
	return ok
}

func (t *tracer) write(frame []byte) error {
	if _, err := t.Port.Write(frame); err != nil {
		return fmt.Errorf("send a packet into the bridge: %w", err)
	}
	return nil
}

// take reads one frame.
func (t *tracer) take(frame []byte) {
	if len(frame) < ethernetLen {
		return
	}
	switch rest := frame[ethernetLen:]; binary.BigEndian.Uint16(frame[12:]) {
	case etherARP:
		if a, ok := parseARP(rest); ok {
			t.takeARP(a)
		}
	case etherIPv4:
		if !t.source.IsValid() {
			return
		}
		a, round, ok := t.mark.answer(rest, t.source, t.To)
		at, known := t.sent[[2]byte{byte(round), a.TTL}]
		if _, twice := t.answers[a.TTL]; !ok || !known || twice {
			return
		}
		a.After = time.Since(at)
		t.answers[a.TTL] = a
	}
}

// takeARP learns the bridge's address, and answers for the source.
func (t *tracer) takeARP(a arp) {
	switch {
	case a.operation == arpReply && a.sender == t.Gateway:
		t.gateway = a.senderMAC
	case a.sender == t.source && t.source.IsValid():
		t.taken = a.sender
	case a.operation == arpRequest && a.target == t.source && t.source.IsValid():
		// An error shows with the next packet.
		_ = t.write(arp{operation: arpReply, senderMAC: t.MAC, sender: t.source, target: a.sender}.frame(a.senderMAC))
	}
}
