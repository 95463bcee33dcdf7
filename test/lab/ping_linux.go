// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// Answer is what came back for one echo request.
type Answer struct {
	Type ipv4.ICMPType // echo reply, destination unreachable, time exceeded; meaningful if From is set
	Code int
	MTU  int        // next hop's, of a "fragmentation needed"
	From netip.Addr // the host that answered; zero without an answer
	Time time.Duration
}

// ICMP codes of "destination unreachable" (RFC 792).
const (
	NetUnreachable      = 0
	HostUnreachable     = 1
	PortUnreachable     = 3
	FragmentationNeeded = 4
)

func (a Answer) String() string {
	if !a.From.IsValid() {
		return "no answer"
	}
	text := fmt.Sprintf("%v code %d from %v", a.Type, a.Code, a.From)
	if a.MTU != 0 {
		text += fmt.Sprintf(" MTU %d", a.MTU)
	}
	return text
}

// Echo describes one echo request.
type Echo struct {
	To       netip.Addr
	From     netip.Addr    // zero: the kernel's choice
	Size     int           // of the whole IP packet; 0 means 84, as ping sends
	TTL      int           // 0 means 64
	Fragment bool          // leave DF clear, let routers fragment
	Wait     time.Duration // 0 means 1 s
}

// echoOverhead is what an echo request carries besides its data.
const echoOverhead = 20 + 8

// Ping sends one echo request from the namespace and returns the answer: the
// reply or an ICMP error. It sets DF without regard to the path MTU that the
// kernel may have learnt, so that routers have to answer.
func (ns *Namespace) Ping(t TB, e Echo) Answer {
	t.Helper()
	if e.Size == 0 {
		e.Size = 84
	}
	if e.TTL == 0 {
		e.TTL = 64
	}
	if e.Wait == 0 {
		e.Wait = time.Second
	}
	conn, err := ns.icmpSocket(e)
	if err != nil {
		t.Fatalf("%s: socket for ping: %v", ns.Name, err)
	}
	defer conn.Close()
	id, seq := rand.IntN(1<<16), rand.IntN(1<<16)
	start := time.Now()
	if err := sendEcho(conn, e.To, id, seq, e.Size-echoOverhead); err != nil {
		t.Fatalf("%s: ping %v: %v", ns.Name, e.To, err)
	}
	conn.SetReadDeadline(start.Add(e.Wait))
	buf := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return Answer{}
		}
		if err != nil {
			continue // an ICMP error is reported to the socket, too
		}
		if a, ok := parseAnswer(buf[:n], id, seq); ok {
			a.From, _ = netip.AddrFromSlice(from.(*net.IPAddr).IP.To4())
			a.Time = time.Since(start)
			return a
		}
	}
}

func (ns *Namespace) icmpSocket(e Echo) (conn net.PacketConn, err error) {
	local := "0.0.0.0"
	if e.From.IsValid() {
		local = e.From.String()
	}
	err = ns.Do(func() error {
		conn, err = net.ListenPacket("ip4:icmp", local)
		return err
	})
	if err != nil {
		return nil, err
	}
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, err
	}
	discover := unix.IP_PMTUDISC_PROBE
	if e.Fragment {
		discover = unix.IP_PMTUDISC_DONT
	}
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, discover)
		unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TTL, e.TTL)
	})
	return conn, nil
}

func sendEcho(conn net.PacketConn, to netip.Addr, id, seq, size int) error {
	data := make([]byte, max(size, 0))
	for i := range data {
		data[i] = byte(i)
	}
	message := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: id, Seq: seq, Data: data}}
	b, err := message.Marshal(nil)
	if err != nil {
		return err
	}
	_, err = conn.WriteTo(b, &net.IPAddr{IP: to.AsSlice()})
	return err
}

// parseAnswer reports whether a received ICMP message is about the request.
func parseAnswer(b []byte, id, seq int) (Answer, bool) {
	m, err := icmp.ParseMessage(1, b)
	if err != nil {
		return Answer{}, false
	}
	a := Answer{Type: m.Type.(ipv4.ICMPType), Code: m.Code}
	if echo, ok := m.Body.(*icmp.Echo); ok {
		return a, a.Type == ipv4.ICMPTypeEchoReply && echo.ID == id && echo.Seq == seq
	}
	quotedID, quotedSeq, ok := quoted(b)
	if !ok || quotedID != id || quotedSeq != seq {
		return Answer{}, false
	}
	if a.Type == ipv4.ICMPTypeDestinationUnreachable && a.Code == FragmentationNeeded {
		a.MTU = int(b[6])<<8 | int(b[7]) // RFC 1191
	}
	return a, true
}

// quoted returns which echo request an ICMP error is about. It quotes the
// packet: 8 bytes on there is an IP header, then the request's.
func quoted(b []byte) (id, seq int, ok bool) {
	if len(b) < 8+20 {
		return 0, 0, false
	}
	header := int(b[8]&0x0f) * 4
	if len(b) < 8+header+8 {
		return 0, 0, false
	}
	request := b[8+header:]
	return int(request[4])<<8 | int(request[5]), int(request[6])<<8 | int(request[7]), request[0] == 8
}

// Reachable fails the test unless an echo reply comes within the limit. What
// is lost before that is let pass.
func (ns *Namespace) Reachable(t TB, to netip.Addr, limit time.Duration) {
	t.Helper()
	Eventually(t, limit, fmt.Sprintf("a reply to %s from %v", ns.Name, to), func() error { return ns.Replies(t, to) })
}

// Replies sends one echo request, and returns what came instead of the reply,
// for [Within].
func (ns *Namespace) Replies(t TB, to netip.Addr) error {
	t.Helper()
	a := ns.Ping(t, Echo{To: to, Wait: 500 * time.Millisecond})
	return Expect(a.From.IsValid() && a.Type == ipv4.ICMPTypeEchoReply, "%s to %v: %v", ns.Name, to, a)
}

// Pinger sends echo requests at a steady interval and keeps count.
type Pinger struct {
	conn     net.PacketConn
	interval time.Duration
	stop     chan struct{}
	sending  sync.WaitGroup
	done     sync.WaitGroup

	mu      sync.Mutex
	replied []bool // by sequence number
	errors  map[string]int
}

// PingCount is what a [Pinger] has seen.
type PingCount struct {
	Sent, Lost int
	Gap        time.Duration  // the longest time without a reply
	Errors     map[string]int // ICMP errors that came instead, by kind
}

func (c PingCount) String() string {
	return fmt.Sprintf("%d sent, %d lost, longest gap %v, errors %v", c.Sent, c.Lost, c.Gap, c.Errors)
}

// StartPinging pings until Stop is called. At most 65536 requests.
func (ns *Namespace) StartPinging(t TB, to netip.Addr, interval time.Duration) *Pinger {
	t.Helper()
	conn, err := ns.icmpSocket(Echo{TTL: 64})
	if err != nil {
		t.Fatalf("%s: socket for ping: %v", ns.Name, err)
	}
	p := &Pinger{conn: conn, interval: interval, stop: make(chan struct{}), errors: map[string]int{}}
	id := rand.IntN(1 << 16)
	p.sending.Go(func() { p.send(to, id) })
	p.done.Go(func() { p.receive(id) })
	return p
}

func (p *Pinger) send(to netip.Addr, id int) {
	tick := time.NewTicker(p.interval)
	defer tick.Stop()
	for seq := 0; seq < 1<<16; seq++ {
		p.mu.Lock()
		p.replied = append(p.replied, false)
		p.mu.Unlock()
		if err := sendEcho(p.conn, to, id, seq, 56); err != nil && !errors.Is(err, net.ErrClosed) {
			p.count(err.Error())
		}
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
	}
}

func (p *Pinger) receive(id int) {
	buf := make([]byte, 2048)
	for {
		n, from, err := p.conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil || n < 8 {
			continue
		}
		switch {
		case buf[0] == 0 && int(buf[4])<<8|int(buf[5]) == id:
			p.mu.Lock()
			if seq := int(buf[6])<<8 | int(buf[7]); seq < len(p.replied) {
				p.replied[seq] = true
			}
			p.mu.Unlock()
		case buf[0] == 3 || buf[0] == 11:
			if about, _, ok := quoted(buf[:n]); !ok || about != id {
				continue // about another program's packets
			}
			p.count(fmt.Sprintf("ICMP type %d code %d from %v", buf[0], buf[1], from))
		}
	}
}

func (p *Pinger) count(what string) {
	p.mu.Lock()
	p.errors[what]++
	p.mu.Unlock()
}

// Count returns the figures so far; the last second's requests may still be
// answered and are left out.
func (p *Pinger) Count() PingCount {
	p.mu.Lock()
	defer p.mu.Unlock()
	settled := len(p.replied) - int(time.Second/p.interval)
	return p.summary(max(settled, 0))
}

// Stop ends the pinging, waits up to a second for what is under way, and
// returns the figures.
func (p *Pinger) Stop() PingCount {
	close(p.stop)
	p.sending.Wait() // one more request may be under way
	Within(time.Second, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		return Expect(p.replied[len(p.replied)-1], "the last one is not answered")
	})
	p.conn.Close()
	p.done.Wait()
	return p.summary(len(p.replied))
}

func (p *Pinger) summary(n int) PingCount {
	c := PingCount{Sent: n, Errors: map[string]int{}}
	for what, times := range p.errors {
		c.Errors[what] = times
	}
	run := 0
	for _, ok := range p.replied[:n] {
		if ok {
			run = 0
			continue
		}
		run++
		c.Lost++
		c.Gap = max(c.Gap, time.Duration(run)*p.interval)
	}
	return c
}
