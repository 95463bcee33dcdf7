// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// startTorrent sends datagrams at a rate until the test ends or stop is called,
// which returns how many there were, and the first error. next makes each, with
// random numbers that are the same each time.
func startTorrent(t *testing.T, conn *net.UDPConn, to netip.AddrPort, perSecond int, next func(*rand.Rand) []byte) (stop func() (sent int, err error)) {
	t.Helper()
	quit, ended := make(chan struct{}), make(chan struct{})
	var sent int
	var failed error
	go func() {
		defer close(ended)
		random, start := rand.New(rand.NewPCG(1, 2)), time.Now()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			for due := int(time.Since(start).Seconds() * float64(perSecond)); sent < due; sent++ {
				if _, err := conn.WriteToUDPAddrPort(next(random), to); failed == nil {
					failed = err
				}
			}
		}
	}()
	stop = sync.OnceValues(func() (int, error) {
		close(quit)
		<-ended
		return sent, failed
	})
	t.Cleanup(func() { _, _ = stop() })
	return stop
}
