// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// loopbackPair is a receiver's socket and a sender's.
func loopbackPair(t *testing.T) (sink, source int) {
	t.Helper()
	local := sockaddr(netip.MustParseAddrPort("127.0.0.1:0"))
	var pair [2]int
	for i := range pair {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		timeout := unix.NsecToTimeval(patience.Nanoseconds())
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout)
		if err := unix.Bind(fd, local); err != nil {
			t.Fatal(err)
		}
		pair[i] = fd
	}
	at, err := unix.Getsockname(pair[0])
	if err == nil {
		err = unix.Connect(pair[1], at)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pair[0], pair[1]
}

func TestSendersKeepTheirRateAndReceiversCount(t *testing.T) {
	sink, source := loopbackPair(t)
	r := &receiver{fd: sink}
	var receiving sync.WaitGroup
	receiving.Go(r.run)
	s := newSender(source, 64, 5_000, 250*time.Microsecond, 0)
	s.run(time.Now(), 200*time.Millisecond)
	time.Sleep(settle)
	r.over.Store(true)
	receiving.Wait()
	if s.err != nil {
		t.Fatal(s.err)
	}
	// A sender that was held up forgets what it could not send; it is never
	// ahead.
	if s.sent > 1001 || s.sent < 100 {
		t.Errorf("%d packets in 200 ms at 5,000 a second", s.sent)
	}
	if got := int(r.count.Load()); got != s.sent {
		t.Errorf("%d sent, %d received", s.sent, got)
	}
}

func TestSentPacketsHaveTheSizeAskedFor(t *testing.T) {
	sink, source := loopbackPair(t)
	s := newSender(source, 1300, unlimited, 0, 0)
	if !s.send(3) || s.sent != 3 {
		t.Fatalf("sent %d: %v", s.sent, s.err)
	}
	for range 3 {
		n, _, err := unix.Recvfrom(sink, make([]byte, 2000), 0)
		if err != nil || n+udpOverhead != 1300 {
			t.Errorf("%d bytes of payload, %v", n, err)
		}
	}
}

func TestSenderReportsWhatTheKernelRefuses(t *testing.T) {
	_, source := loopbackPair(t)
	unix.Shutdown(source, unix.SHUT_WR)
	signal := newSender(source, 64, unlimited, 0, 0)
	signal.run(time.Now(), time.Second)
	if signal.err == nil || signal.sent != 0 {
		t.Errorf("%d sent, error %v", signal.sent, signal.err)
	}
}

func TestRoundTripsGoBackAndForth(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	var echo sync.WaitGroup
	echo.Go(func() { echoBytes(pair[1]) })
	times, err := roundTrips(pair[0], 50*time.Millisecond)
	unix.Shutdown(pair[0], unix.SHUT_RDWR)
	echo.Wait()
	unix.Close(pair[1])
	if err != nil || len(times) < 10 {
		t.Fatalf("%d round trips, %v", len(times), err)
	}
	if at := times.at(50, 99); at[0] <= 0 || at[1] < at[0] {
		t.Errorf("p50 %v, p99 %v", at[0], at[1])
	}
}

func TestRoundTripsNoticeTheOtherEndIsGone(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	unix.Shutdown(pair[1], unix.SHUT_WR)
	defer unix.Close(pair[1])
	if _, err := roundTrips(pair[0], time.Minute); err == nil {
		t.Error("no error")
	}
}

func TestMemoryOfAProcess(t *testing.T) {
	m, err := memoryOf(os.Getpid())
	if err != nil || m.resident < 1<<20 || m.highest < m.resident/2 {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := memoryOf(1 << 30); err == nil {
		t.Error("a process that does not exist has memory")
	}
}

func TestEchoesAreDistinguishedFromOtherPackets(t *testing.T) {
	reply := make([]byte, 20+8+56)
	reply[0] = 0x45
	reply[26], reply[27] = 1, 2
	if seq, ok := echoSequence(reply); !ok || seq != 0x102 {
		t.Errorf("%d, %v", seq, ok)
	}
	reply[20] = 8 // a request
	for _, other := range [][]byte{reply, reply[:27], {0x45}, nil} {
		if seq, ok := echoSequence(other); ok {
			t.Errorf("%x is an echo with number %d", other, seq)
		}
	}
}
