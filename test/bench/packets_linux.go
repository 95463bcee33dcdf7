// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	udpOverhead = 20 + 8 // of an IPv4 and a UDP header
	packetBatch = 64     // packets a system call, at most
	packetPort  = 20_000 // the first of the ports for trials, which use one each
	// settle is how long packets may be under way when sending ends. What
	// comes later has been waiting in a queue: the rate could not last.
	settle = 10 * time.Millisecond
	// debt is how far a sender may fall behind its rate and catch up.
	debt = 2 * time.Millisecond
)

// trial is one attempt to get packets across at a rate.
type trial struct {
	path   *path
	size   int // of a packet, with its IP header
	flows  int // each with a sender of its own
	length time.Duration
}

var trials atomic.Uint32

// run sends at the rate, from all senders together, and counts what arrives.
func (t trial) run(rate float64) (o outcome, err error) {
	// A port of its own: what an earlier trial left in a queue is not counted.
	at := netip.AddrPortFrom(t.path.to.Addr, uint16(packetPort+trials.Add(1)%40_000))
	sink, err := openUDP(t.path.to.Namespace, at, netip.AddrPort{})
	if err != nil {
		return o, err
	}
	defer unix.Close(sink)
	var senders []*sender
	for i := range t.flows {
		fd, err := openUDP(t.path.from.Namespace, netip.AddrPort{}, at)
		if err != nil {
			return o, err
		}
		defer unix.Close(fd)
		senders = append(senders, newSender(fd, t.size, rate/float64(t.flows), t.pause(), i))
	}
	r := &receiver{fd: sink}
	var receiving, sending sync.WaitGroup
	receiving.Go(func() { onThread(r.run) })
	start := time.Now()
	for _, s := range senders {
		sending.Go(func() { onThread(func() { s.run(start, t.length) }) })
	}
	time.Sleep(t.length / 4)
	quarter, early := time.Since(start), r.count.Load()
	sending.Wait()
	took, late := time.Since(start), r.count.Load()
	time.Sleep(settle)
	o.received = int(r.count.Load())
	r.over.Store(true)
	receiving.Wait()
	for _, s := range senders {
		o.sent += s.sent
		err = errors.Join(err, s.err)
	}
	o.offered = float64(o.sent) / took.Seconds()
	o.delivered = float64(late-early) / (took - quarter).Seconds()
	return o, err
}

// pause is how long a sender rests between two batches. Many senders rest
// longer: waking up must not take the processors from the path.
func (t trial) pause() time.Duration {
	if t.flows == 1 {
		return 250 * time.Microsecond
	}
	return time.Millisecond
}

// message is struct mmsghdr of recvmmsg(2) and sendmmsg(2).
type message struct {
	header unix.Msghdr
	length uint32
	_      [4]byte
}

// messages makes a batch of messages that all share one buffer.
func messages(n int, buffer []byte) []message {
	vector := &unix.Iovec{Base: &buffer[0]}
	vector.SetLen(len(buffer))
	batch := make([]message, n)
	for i := range batch {
		batch[i].header.Iov = vector
		batch[i].header.SetIovlen(1)
	}
	return batch
}

// sender is one flow's.
type sender struct {
	fd    int
	batch []message
	rate  float64
	pause time.Duration
	phase time.Duration // so that senders do not wake up together
	sent  int
	err   error
}

func newSender(fd, size int, rate float64, pause time.Duration, number int) *sender {
	phase := pause * time.Duration(number) / 8
	return &sender{fd: fd, batch: messages(packetBatch, make([]byte, size-udpOverhead)), rate: rate, pause: pause, phase: phase}
}

// run sends evenly at the sender's rate until the time is over. What it could
// not send in time it forgets, rather than send it in one burst.
func (s *sender) run(start time.Time, length time.Duration) {
	rest(s.phase)
	forgotten := 0.0
	for {
		elapsed := time.Since(start)
		if elapsed >= length {
			return
		}
		due := float64(len(s.batch))
		if s.rate != unlimited {
			due = s.rate*elapsed.Seconds() - forgotten - float64(s.sent)
			if most := max(s.rate*(s.pause+debt).Seconds(), 1); due > most {
				forgotten += due - most
				due = most
			}
		}
		if due < 1 {
			rest(s.pause)
			continue
		}
		if !s.send(min(int(due), len(s.batch))) {
			return
		}
	}
}

// send sends the first n messages, or some of the n.
func (s *sender) send(n int) bool {
	done, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.batch[0])), uintptr(n), 0, 0, 0)
	switch errno {
	case 0:
		s.sent += int(done)
	case unix.EAGAIN, unix.EINTR, unix.ENOBUFS:
	default:
		s.err = fmt.Errorf("send packets: %w", errno)
		return false
	}
	return true
}

// rest sleeps without Go's timers, because their thread would have to wake this
// one.
func rest(d time.Duration) {
	t := unix.NsecToTimespec(d.Nanoseconds())
	unix.Nanosleep(&t, nil)
}

// receiver counts datagrams and throws them away.
type receiver struct {
	fd    int
	count atomic.Int64
	over  atomic.Bool
}

func (r *receiver) run() {
	batch := messages(packetBatch, make([]byte, 16)) // the rest is cut off
	for !r.over.Load() {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(r.fd), uintptr(unsafe.Pointer(&batch[0])), uintptr(len(batch)), unix.MSG_WAITFORONE, 0, 0)
		if errno == 0 {
			r.count.Add(int64(n))
		}
	}
}
