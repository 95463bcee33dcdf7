// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const roundTripPort = 7007

// latencies are round trips, in microseconds.
type latencies []float64

func (l *latencies) add(d time.Duration) { *l = append(*l, float64(d.Nanoseconds())/1000) }

// at returns percentiles.
func (l latencies) at(p ...float64) (values []float64) {
	slices.Sort(l)
	for _, p := range p {
		values = append(values, percentile(l, p))
	}
	return values
}

// tcpRoundTrips sends one byte back and forth over one connection, without
// pause.
func tcpRoundTrips(path *path, length time.Duration) (latencies, error) {
	c, err := connect(path.from, path.to, roundTripPort)
	if err != nil {
		return nil, err
	}
	defer c.close()
	var echo sync.WaitGroup
	echo.Go(func() { onThread(func() { echoBytes(c.server) }) })
	defer echo.Wait()
	defer c.end()
	return roundTrips(c.client, length)
}

// udpRoundTrips does the same with datagrams.
func udpRoundTrips(path *path, length time.Duration) (latencies, error) {
	at := netip.AddrPortFrom(path.to.Addr, roundTripPort)
	server, err := openUDP(path.to.Namespace, at, netip.AddrPort{})
	if err != nil {
		return nil, err
	}
	defer unix.Close(server)
	client, err := openUDP(path.from.Namespace, netip.AddrPort{}, at)
	if err != nil {
		return nil, err
	}
	defer unix.Close(client)
	var echo sync.WaitGroup
	var over atomic.Bool
	echo.Go(func() { onThread(func() { echoDatagrams(server, &over) }) })
	defer echo.Wait()
	defer over.Store(true)
	return roundTrips(client, length)
}

// echoBytes sends back every byte, until the connection ends.
func echoBytes(fd int) {
	b := make([]byte, 1)
	for {
		n, err := unix.Read(fd, b)
		if err == nil && n == 0 || err != nil && !temporary(err) {
			return
		}
		if n == 1 {
			unix.Write(fd, b)
		}
	}
}

// echoDatagrams sends back every datagram, until the measurement is over.
func echoDatagrams(fd int, over *atomic.Bool) {
	b := make([]byte, 1)
	for !over.Load() {
		if n, from, err := unix.Recvfrom(fd, b, 0); err == nil {
			unix.Sendto(fd, b[:n], 0, from)
		}
	}
}

// roundTrips plays the client: it sends the next byte when the last is back. An
// answer that does not come within a second is an error.
func roundTrips(fd int, length time.Duration) (times latencies, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b := make([]byte, 1)
	start := time.Now()
	for last := start; last.Sub(start) < length; {
		if _, err := unix.Write(fd, b); err != nil {
			return nil, fmt.Errorf("round trip: send: %w", err)
		}
		for waiting := true; waiting; {
			n, err := unix.Read(fd, b)
			switch {
			case n == 1:
				waiting = false
			case err == nil || !temporary(err):
				return nil, fmt.Errorf("round trip: receive: %w", err)
			case time.Since(last) > time.Second:
				return nil, fmt.Errorf("round trip: no answer within a second")
			}
		}
		now := time.Now()
		times.add(now.Sub(last))
		last = now
	}
	return times, nil
}

// onThread runs f on a thread that does nothing else meanwhile.
func onThread(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	f()
}
