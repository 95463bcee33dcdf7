// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"io"
	"net/netip"
	"sync/atomic"
	"time"
)

// Throughput sends as much as it can over one TCP connection for a while and
// returns the bits per second that arrived. progress, if not nil, is called
// twice a second with the rate since the last call.
func Throughput(t TB, from, to *Namespace, at netip.AddrPort, length time.Duration, progress func(bitsPerSecond float64)) float64 {
	t.Helper()
	listener := to.Listen(t, at)
	defer listener.Close()
	var received atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buf := make([]byte, 256<<10)
		for {
			n, err := conn.Read(buf)
			received.Add(int64(n))
			if err != nil {
				return
			}
		}
	}()
	conn, err := from.Dial(at, 5*time.Second)
	if err != nil {
		t.Fatalf("connect %s to %v: %v", from.Name, at, err)
	}
	conn.SetWriteDeadline(time.Now().Add(length))
	go io.Copy(conn, zeroes{})
	start, tick := time.Now(), time.NewTicker(500*time.Millisecond)
	defer tick.Stop()
	last, before := start, int64(0)
	for now := range tick.C {
		total := received.Load()
		if progress != nil {
			progress(float64(total-before) * 8 / now.Sub(last).Seconds())
		}
		last, before = now, total
		if now.Sub(start) >= length {
			break
		}
	}
	rate := float64(received.Load()) * 8 / time.Since(start).Seconds()
	conn.Close()
	<-done
	return rate
}

// zeroes is an endless source of zero bytes.
type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { return len(p), nil }
