// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"net/netip"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

func TestSocketsSayHowLongADatagramHasWaited(t *testing.T) {
	t.Parallel()
	s, err := Kernel{}.ListenUDP(netip.AddrPortFrom(nextAddr(), 0))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	at := netip.MustParseAddrPort(s.(*stampedUDP).LocalAddr().String())
	// read returns how long a datagram has waited, and how long it was at most.
	read := func(wait time.Duration) (waited, most time.Duration) {
		sent := time.Now()
		if _, err := s.WriteToUDPAddrPort([]byte("abc"), at); err != nil {
			t.Fatal(err)
		}
		time.Sleep(wait)
		b := make([]byte, 9)
		n, from, waited, err := s.Read(b)
		if err != nil || string(b[:n]) != "abc" || from != at {
			t.Fatalf("%q from %s, %v", b[:n], from, err)
		}
		return waited, time.Since(sent)
	}
	// The kernel begins to take times shortly after the first socket asks for
	// them; what came before has the time of the read.
	for range 100 {
		if waited, _ := read(20 * time.Millisecond); waited >= 10*time.Millisecond {
			break
		}
	}
	for _, wait := range []time.Duration{0, 300 * time.Millisecond} {
		if waited, most := read(wait); waited < wait-20*time.Millisecond || waited > most+20*time.Millisecond {
			t.Errorf("waited %v, it was %v to %v", waited, wait, most)
		}
	}
}

func TestControlMessagesWithoutATimeAreNoWait(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	stamp := func(kind int32, at time.Time) []byte {
		b := make([]byte, syscall.CmsgSpace(stampSize))
		header := (*syscall.Cmsghdr)(unsafe.Pointer(&b[0]))
		header.SetLen(syscall.CmsgLen(stampSize))
		header.Level, header.Type = syscall.SOL_SOCKET, kind
		*(*syscall.Timespec)(unsafe.Pointer(&b[syscall.CmsgLen(0)])) = syscall.NsecToTimespec(at.UnixNano())
		return b
	}
	for name, c := range map[string]struct {
		control []byte
		want    time.Duration
	}{
		"none":              {nil, 0},
		"cut short":         {stamp(syscall.SCM_TIMESTAMPNS, now)[:20], 0},
		"another one":       {stamp(syscall.SCM_CREDENTIALS, now.Add(-time.Hour)), 0},
		"a second ago":      {stamp(syscall.SCM_TIMESTAMPNS, now.Add(-time.Second)), time.Second},
		"a moment ago":      {stamp(syscall.SCM_TIMESTAMPNS, now.Add(-time.Nanosecond)), time.Nanosecond},
		"the clock was set": {stamp(syscall.SCM_TIMESTAMPNS, now.Add(time.Hour)), 0},
	} {
		if got := waitedFor(c.control, now); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
