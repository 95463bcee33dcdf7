// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// pingPause is the time between two pings.
const pingPause = 5 * time.Millisecond

// loadedPing pings while a TCP stream in the same direction takes all that the
// path can carry. An echo that does not come back counts as [pingLost].
func loadedPing(path *path, length time.Duration) (latencies, error) {
	var s streams
	defer s.stop()
	if err := s.add(path.from, path.to, 1); err != nil {
		return nil, err
	}
	time.Sleep(rampUp)
	before := s.received.Load()
	times, err := pings(path, length)
	if err == nil && s.received.Load() == before {
		err = fmt.Errorf("the stream beside the pings stands still")
	}
	return times, err
}

// pingLost stands for the time of an echo that was lost. It is also how long
// the test waits for the last ones.
const pingLost = 500 * time.Millisecond

// pings sends one echo request after the other, whether answers come or not. It
// measures the path, not this program. The kernel takes the arrival times, so
// that waking this program up does not count. The sender is a real-time thread
// above all others, so that it is not preempted between taking the time and
// sending.
func pings(path *path, length time.Duration) (latencies, error) {
	fd, err := open(path.from.Namespace, unix.SOCK_RAW, unix.IPPROTO_ICMP, func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
			return err
		}
		return unix.Connect(fd, sockaddr(netip.AddrPortFrom(path.to.Addr, 0)))
	})
	if err != nil {
		return nil, fmt.Errorf("socket for pings: %w", err)
	}
	defer unix.Close(fd)
	count := int(length / pingPause)
	sent := make([]time.Time, count)
	arrived := make([]time.Time, count)
	var ends sync.WaitGroup
	deadline := time.Now().Add(length + pingLost)
	ends.Go(func() { onThread(func() { receiveEchoes(fd, arrived, deadline) }) })
	ends.Go(func() {
		runtime.LockOSThread() // and never unlocked: the thread ends here
		if err = beforeAll(); err == nil {
			err = sendEchoes(fd, sent)
		}
	})
	ends.Wait()
	if err != nil {
		return nil, err
	}
	var times latencies
	for i := range sent {
		took := pingLost
		if !arrived[i].IsZero() {
			took = arrived[i].Sub(sent[i])
		}
		times.add(took)
	}
	return times, nil
}

// beforeAll makes the calling thread run before any that the paths have.
func beforeAll() error {
	err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 50}, 0)
	if err != nil {
		return fmt.Errorf("set real-time priority of the pinging thread: %w", err)
	}
	return nil
}

func sendEchoes(fd int, sent []time.Time) error {
	start := time.Now()
	for i := range sent {
		time.Sleep(time.Until(start.Add(time.Duration(i) * pingPause)))
		message := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{Seq: i, Data: make([]byte, 56)}}
		data, err := message.Marshal(nil)
		if err != nil {
			return err
		}
		sent[i] = time.Now()
		if _, err := unix.Write(fd, data); err != nil {
			return fmt.Errorf("ping: %w", err)
		}
	}
	return nil
}

// receiveEchoes notes when each echo arrived, by sequence number, until all
// are there or the deadline has passed.
func receiveEchoes(fd int, arrived []time.Time, deadline time.Time) {
	data, control := make([]byte, 256), make([]byte, 256)
	for missing := len(arrived); missing > 0 && time.Now().Before(deadline); {
		n, controlled, _, _, err := unix.Recvmsg(fd, data, control, 0)
		if err != nil {
			continue // nothing for a while
		}
		seq, ok := echoSequence(data[:n])
		if !ok || seq >= len(arrived) || !arrived[seq].IsZero() {
			continue
		}
		if at, ok := timestamp(control[:controlled]); ok {
			arrived[seq] = at
			missing--
		}
	}
}

// echoSequence is the sequence number of an echo reply, as a raw socket gets
// it.
func echoSequence(packet []byte) (seq int, ok bool) {
	if len(packet) < 20 {
		return 0, false
	}
	header := int(packet[0]&15) * 4
	if len(packet) < header+8 || packet[header] != byte(ipv4.ICMPTypeEchoReply) {
		return 0, false
	}
	return int(binary.BigEndian.Uint16(packet[header+6:])), true
}

// timestamp finds SO_TIMESTAMPNS in control messages.
func timestamp(control []byte) (at time.Time, ok bool) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return at, false
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
			seconds := binary.NativeEndian.Uint64(m.Data)
			nanoseconds := binary.NativeEndian.Uint64(m.Data[8:])
			return time.Unix(int64(seconds), int64(nanoseconds)), true
		}
	}
	return at, false
}
